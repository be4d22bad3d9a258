"""Processes under `torchrun` make one run: one folder, one voice, the same weights, one end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.core.support import RECIPE, TOYS, lab_process, last_state, only_run, same

DEVICES = RECIPE.replace("threads = 1", "threads = 1\ndevices = {}")


def lab(processes: int, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`lab` in that many processes under `torchrun`."""
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--no-python"),
        *("--nproc-per-node", str(processes), str(Path(sys.executable).with_name("lab"))),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    return subprocess.run([*command, *words], capture_output=True, text=True, env=environment, timeout=200)


def run(folder: Path, processes: int, **variables: str) -> subprocess.CompletedProcess[str]:
    recipe = folder / "toy.toml"
    recipe.write_text(DEVICES.format(processes))
    return lab(processes, "run", str(recipe), "--plugin", str(TOYS), **variables)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run of two processes that nothing interrupts, and what was said."""
    folder = tmp_path_factory.mktemp("whole")
    ended = run(folder, 2, LAB_RUN_DIR=str(folder))
    assert ended.returncode == 0, ended.stderr
    return only_run(folder), ended.stdout


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run of which the second process has got a signal, and what was said."""
    folder = tmp_path_factory.mktemp("interrupted")
    ended = run(folder, 2, TOY_END="TERM:13", TOY_RANK="1", LAB_RUN_DIR=str(folder))
    assert ended.returncode != 0
    return only_run(folder), ended.stderr


def test_two_processes_make_one_run(whole: tuple[Path, str]) -> None:
    folder, said = whole
    assert said.count("toy_accuracy/train") == 1
    state = last_state(folder)
    assert state["step"] == 40
    weights = state["trainer"]["net"]  # type: ignore[index]
    assert all(torch.isfinite(value.float()).all() for value in weights.values())
    assert same(state["random"], state["random_of_others"][0])  # type: ignore[index]  # each draws for both


def test_a_signal_to_one_process_stops_both_saved(interrupted: tuple[Path, str]) -> None:
    folder, said = interrupted
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "interrupted" and 13 < record["step"] < 20
    assert "SIGTERM after step" in said
    assert last_state(folder)["step"] == record["step"]


def test_both_go_on_as_if_nothing_had_been(
    whole: tuple[Path, str], interrupted: tuple[Path, str], tmp_path: Path
) -> None:
    folder = shutil.copytree(interrupted[0], tmp_path / "again")
    again = lab(2, "resume", str(folder), "--plugin", str(TOYS))
    assert again.returncode == 0, again.stderr
    one, other = last_state(whole[0]), last_state(folder)
    for part in "trainer", "random", "random_of_others":
        assert same(one[part], other[part]), part


def test_one_process_goes_on_with_the_run_of_two(interrupted: tuple[Path, str], tmp_path: Path) -> None:
    folder = shutil.copytree(interrupted[0], tmp_path / "again")
    ended = lab_process("resume", folder, "--set", "run.devices=1")
    assert ended.returncode == 0, ended.stderr
    state = last_state(folder)
    assert state["step"] == 40 and state["random_of_others"] == []


def test_a_fault_in_one_process_ends_both(tmp_path: Path) -> None:
    start = time.monotonic()
    ended = run(tmp_path, 2, TOY_END="FAULT:13", TOY_RANK="1", LAB_RUN_DIR=str(tmp_path))
    assert ended.returncode != 0 and "a fault of the toy's" in ended.stderr
    assert time.monotonic() - start < 100  # the collective operations' own patience is 30 minutes
    assert json.loads((only_run(tmp_path) / "run.json").read_text())["status"] == "failed"
