"""Runs of toys in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from pluglab.cli import main
from tests.core.support import RECIPE, TOYS, Lab


@pytest.fixture(autouse=True)
def _own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test in a folder of its own, with no installed plugin, cache or data root."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_PLUGINS", "")
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    for name in ("LAB_DATA_ROOT", "LAB_RUN_DIR", "TOY_END"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """`toy.toml` with the recipe above."""
    path = tmp_path / "toy.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def lab() -> Lab:
    """`lab WORDS...` in this process, with the toys; returns its exit code."""

    def call(*words: str | Path, toys: bool = True) -> int:
        files = ["--plugin", str(TOYS)] if toys else []
        with pytest.raises(SystemExit) as leave:
            main([*map(str, words), *files])
        return int(leave.value.code or 0)

    return call
