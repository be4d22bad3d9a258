"""Runs of toys in this process."""

from __future__ import annotations

import itertools
import textwrap
from pathlib import Path

import pytest

from pluglab.cli import main
from tests.core.support import RECIPE, TOYS, Install, Lab

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test in a folder of its own, with no installed plugin, cache, data root or home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
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


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """A distribution with one plugin, as pip would leave it in site-packages."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    wanted: list[str] = []

    def call(
        name: str, code: str, distribution: str = "", requires: str = "pluglab>=0.1", entry: str = ""
    ) -> None:
        module = f"stranger_{next(_numbers)}"
        (site / f"{module}.py").write_text(textwrap.dedent(code))
        title = distribution or f"pluglab-{name}"
        folder = site / f"{title.replace('-', '_')}-1.2.dist-info"
        folder.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {title}\nVersion: 1.2\nRequires-Dist: {requires}\n"
        (folder / "METADATA").write_text(metadata)
        (folder / "entry_points.txt").write_text(f"[pluglab]\n{name} = {entry or module}\n")
        wanted.append(name)
        monkeypatch.setenv("LAB_PLUGINS", ",".join(wanted))

    return call
