"""Two processes under `torchrun` make one run: one folder, one voice, the same weights in both."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

from tests.core.support import RECIPE, TOYS, last_state, only_run


def test_two_processes_make_one_run(tmp_path: Path) -> None:
    recipe = tmp_path / "toy.toml"
    recipe.write_text(RECIPE.replace("threads = 1", "threads = 1\ndevices = 2"))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    lab = [str(Path(sys.executable).with_name("lab")), "run", str(recipe), "--plugin", str(TOYS)]
    ended = subprocess.run(
        [*command, "--no-python", *lab],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=200,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("toy_accuracy/train") == 1
    state = last_state(only_run())
    assert state["step"] == 40
    weights = state["trainer"]["net"]  # type: ignore[index]
    assert all(torch.isfinite(value.float()).all() for value in weights.values())
