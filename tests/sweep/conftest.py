"""Sweeps over a hill whose top is known, with `lab` in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pluglab.cli import main

HILL = Path(__file__).parent / "hill_plugin.py"
RECIPE = """
steps = 8
batch_size = 4
log_every = 4
trainer = "hill"
data = { train = "level", other = "level" }
evaluate = [{ name = "score", every = 2 }]

[run]
threads = 1
precision = "32"
observers = ["console"]
"""
GRID = """
[sweep]
sampler = "grid"
objectives = [{ metric = "height" }]
[sweep.parameters]
"trainer.x" = { low = 1.0, high = 4.0, step = 1.0 }
"trainer.kind" = ["low", "high"]
"""
Lab = Callable[..., int]
Sweep = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def _own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LAB_PLUGINS", "sweep,report")
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    for name in ("LAB_DATA_ROOT", "LAB_RUN_DIR", "HILL_END"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def lab() -> Lab:
    """`lab WORDS...` in this process, with the hill; returns its exit code."""

    def call(*words: str | Path, hill: bool = True) -> int:
        with pytest.raises(SystemExit) as leave:
            main([*map(str, words), *(["--plugin", str(HILL)] if hill else [])])
        return int(leave.value.code or 0)

    return call


@pytest.fixture
def write() -> Callable[[str], Path]:
    """The recipe of the hill with more text, as a file."""

    def call(text: str) -> Path:
        Path("hill.toml").write_text(RECIPE.replace("[run]", f"{text}\n[run]") if text else RECIPE)
        return Path("hill.toml")

    return call


def only_sweep(root: Path = Path("runs")) -> Path:
    (folder,) = [path for path in root.glob("*/*") if path.is_dir()]
    return folder


def summary(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "sweep.json").read_text())
    return found
