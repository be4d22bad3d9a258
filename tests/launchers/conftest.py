"""Experiments of two slow runs, begun by `lab` in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pluglab.cli import main

SLOW = Path(__file__).parent / "slow_plugin.py"
RECIPE = """
steps = 120
batch_size = 8
log_every = 10
checkpoint_every = 10
trainer = "slow"
data.train = "patterns"
evaluate = ["weights"]

[run]
threads = 1
precision = "32"
observers = ["console"]

[variants.a]
[variants.b.trainer]
width = 6
"""
NAMES = "a-seed0", "b-seed0"
PATIENCE = 240  # seconds, on a machine that does much else


@pytest.fixture(autouse=True)
def _own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LAB_PLUGINS", "launchers")
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    for name in ("LAB_DATA_ROOT", "LAB_RUN_DIR"):
        monkeypatch.delenv(name, raising=False)
    Path("slow.toml").write_text(RECIPE)


@pytest.fixture
def whole() -> dict[str, float]:
    """What the runs reach one after another in this process, without a pause."""
    assert lab("run", "slow.toml", "--run-dir", "whole") == 0
    return scores(only(Path("whole")))


def lab(*words: str | Path) -> int:
    """`lab WORDS...` in this process, with the plugin; its exit code."""
    with pytest.raises(SystemExit) as leave:
        main([*map(str, words), "--plugin", str(SLOW)])
    return int(leave.value.code or 0)


def started(*words: str | Path, log: str = "log.txt") -> subprocess.Popen[str]:
    """The same in a process of its own; what it says goes into a file."""
    code = "from pluglab.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, words), "--plugin", str(SLOW)]
    with Path(log).open("w") as file:
        return subprocess.Popen(command, stderr=file, stdout=file, text=True, env=dict(os.environ))


def only(root: Path = Path("runs")) -> Path:
    (folder,) = [path for path in root.glob("*/*") if path.is_dir()]
    return folder


def scores(folder: Path) -> dict[str, float]:
    found = json.loads((folder / "results.json").read_text())["runs"]
    return {name: results["scalars"]["weights"] for name, results in found.items()}


def state(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / name / "run.json").read_text())
    return found


def checkpoints(name: str) -> list[Path]:
    return sorted(Path("runs").glob(f"*/*/{name}/checkpoints/*.pt"))


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[str] | None = None) -> None:
    """Raises where it does not happen, or the process ends before."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        assert process is None or process.poll() is None, Path("log.txt").read_text()
        time.sleep(0.1)
