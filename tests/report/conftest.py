"""Runs of toys, made once, and `lab` in this process."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pluglab.cli import main

HERE = Path(__file__).parent
TOYS = HERE.parent / "core" / "run_plugin.py"
STRANGER, STARRY = HERE / "stranger.py", HERE / "starry.py"
EVIL = "<script>alert(1)</script> & _A_ $x$ |"
RECIPE = f"""
title = "Toys {EVIL}"
seeds = [0, 1]
steps = 12
batch_size = 8
log_every = 3
trainer = "learner"
data.train = "drawn"
evaluate = ["hits", {{ name = "certain", every = 4 }}, "stranger"]

[[reported]]
name = "Report B {EVIL}"
scores = {{ "hits/train" = 62.28, "other" = 1 }}
source = "by hand"

[run]
threads = 1
precision = "32"

[variants."{EVIL}"]

[variants.wide.trainer]
width = 8
"""


def lab(*words: str | Path) -> int:
    """`lab WORDS...`; returns its exit code."""
    with pytest.raises(SystemExit) as leave:
        main([*map(str, words)])
    return int(leave.value.code or 0)


@pytest.fixture(scope="package", autouse=True)
def _own_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_PLUGINS", "report")
        patch.setenv("LAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        for name in ("LAB_DATA_ROOT", "LAB_RUN_DIR"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="package")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment of two variants with two seeds, one of which has markup for a name."""
    root = tmp_path_factory.mktemp("made")
    (root / "toys.toml").write_text(RECIPE)
    plugins = "--plugin", TOYS, "--plugin", STRANGER
    assert lab("run", root / "toys.toml", "--run-dir", root / "runs", *plugins) == 0
    (folder,) = (root / "runs").glob("*/*")
    return folder


@pytest.fixture
def experiment(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it that a test may change, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(made, tmp_path / "runs" / made.name))


@pytest.fixture(scope="package")
def written(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the experiment in all formats."""
    out = tmp_path_factory.mktemp("written")
    assert lab("report", made, "--out", out, "--format", "html,md,tex", "--author", f"A. {EVIL}") == 0
    return out
