"""Several runs at the same time give what they give one after another, and end as well."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from pluglab.storage.run_folder import RunFolder
from tests.core.support import RECIPE, TOYS, Lab, lab_process, last_state, only_run, same

VARIANTS = "\n[variants.a]\n[variants.b.trainer]\nwidth = 4\n"


@pytest.fixture
def experiment(recipe: Path) -> Path:
    recipe.write_text(RECIPE + VARIANTS)
    return recipe


def scalars(folder: Path) -> dict[str, object]:
    found = json.loads((folder / "results.json").read_text())["runs"]
    return {name: results["scalars"] for name, results in found.items()}


def test_the_results_are_those_of_one_after_another(experiment: Path, lab: Lab, tmp_path: Path) -> None:
    assert lab("run", experiment, "--run-dir", tmp_path / "one") == 0
    ended = lab_process("run", experiment, "--jobs", "2", "--run-dir", tmp_path / "two")
    assert ended.returncode == 0, ended.stderr
    one, two = only_run(tmp_path / "one"), only_run(tmp_path / "two")
    assert scalars(one) == scalars(two) and len(scalars(one)) == 2
    for name in ("a-seed0", "b-seed0"):
        assert same(last_state(one / name)["trainer"], last_state(two / name)["trainer"])
    assert "toy_accuracy/train" in ended.stdout and (two / "figures" / "toy_confidence_bar.png").is_file()
    assert ended.stderr.count("machine:") == 1, "what holds for all is said once"
    assert "a, seed 0" in ended.stderr and "b, seed 0" in ended.stderr and "Traceback" not in ended.stderr


def test_a_run_that_fails_is_named_and_the_other_finishes(recipe: Path) -> None:
    recipe.write_text(RECIPE + "\n[variants.good]\n[variants.bad.trainer]\nbad_step = 12\n")
    ended = lab_process("run", recipe, "--jobs", "2")
    assert ended.returncode == 1
    assert "error: bad, seed 0:" in ended.stderr and "NaN" in ended.stderr.upper().replace("NAN", "NaN")
    states = {name: RunFolder(only_run() / name).read()["status"] for name in ("good-seed0", "bad-seed0")}
    assert states == {"good-seed0": "finished", "bad-seed0": "failed"}


def test_a_process_that_is_killed_is_told(experiment: Path) -> None:
    ended = lab_process("run", experiment, "--jobs", "2", TOY_END="KILL:15")
    assert ended.returncode == 1
    assert re.search("error: [ab], seed 0: its process was killed by SIGKILL\n", ended.stderr)
    assert "  = often the machine ran out of memory: fewer --jobs, or a smaller batch_size\n" in ended.stderr
    states = [RunFolder(only_run() / name).read()["status"] for name in ("a-seed0", "b-seed0")]
    assert states == ["died", "died"]


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupt_saves_every_run_and_resume_goes_on(
    number: signal.Signals, experiment: Path, lab: Lab, tmp_path: Path
) -> None:
    assert lab("run", experiment, "--set", "steps=600", "--run-dir", tmp_path / "whole") == 0
    code = "from pluglab.cli import main; main()"
    words = ["run", str(experiment), "--set", "steps=600", "--jobs", "2", "--plugin", str(TOYS)]
    process = subprocess.Popen([sys.executable, "-c", code, *words], env=dict(os.environ))
    wait_for(lambda: len(list(Path("runs").glob("*/*/*/checkpoints/*.pt"))) >= 2)
    process.send_signal(number)
    assert process.wait(60) == 128 + number
    folder = only_run()
    runs = [RunFolder(folder / name) for name in ("a-seed0", "b-seed0")]
    assert "interrupted" in [run.read()["status"] for run in runs]
    for recipe in (folder / "recipe.toml", runs[0].recipe):
        assert tomllib.loads(recipe.read_text())["run"]["launcher"] == {"name": "processes", "jobs": 2}
    assert lab("resume", folder) == 0
    whole = only_run(tmp_path / "whole")
    assert scalars(folder) == scalars(whole)
    assert all(
        same(last_state(run.path)["trainer"], last_state(whole / run.path.name)["trainer"]) for run in runs
    )


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen within a minute")


@pytest.mark.parametrize("end", ["SIGKILL", "SIGINT twice"])
def test_no_worker_outlives_its_parent(end: str, experiment: Path) -> None:
    code = "from pluglab.cli import main; main()"
    words = ["run", str(experiment), "--set", "steps=200000", "--jobs", "2", "--plugin", str(TOYS)]
    process = subprocess.Popen([sys.executable, "-c", code, *words], env=dict(os.environ))
    try:
        wait_for(lambda: len(list(Path("runs").glob("*/*/*/checkpoints/*.pt"))) >= 2)
        for number in [signal.SIGKILL] if end == "SIGKILL" else [signal.SIGINT, signal.SIGINT]:
            process.send_signal(number)
        process.wait(60)
    finally:
        process.kill()
    runs = [RunFolder(only_run() / name) for name in ("a-seed0", "b-seed0")]
    wait_for(lambda: not any(run.is_held() for run in runs))
    assert [run.read()["status"] for run in runs] == ["interrupted", "interrupted"]
    assert all(last_state(run.path)["step"] == run.read()["step"] for run in runs)
