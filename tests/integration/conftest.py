"""`lab` in a process of its own, as a user calls it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Lab = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """`lab WORDS...` in an empty folder with every installed plugin; any other `exit_code` fails the test."""
    return calling(Path(sys.executable), tmp_path)


@pytest.fixture
def wheel_lab(installed_wheels: Path, tmp_path: Path) -> Lab:
    """The same of what is installed from wheels: the checkout has no say."""
    return calling(installed_wheels / "python", tmp_path)


def calling(python: Path, folder: Path) -> Lab:
    """`lab` of an environment, in a folder."""

    def call(*words: str | Path, exit_code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [python, "-c", "from pluglab.cli import main; main()", *map(str, words)],
            cwd=folder,
            env={**_own_world(folder), **environment},
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == exit_code, done.stderr
        return done

    return call


def _own_world(folder: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("LAB_")}
    return {**kept, "LAB_CACHE": str(folder / "cache")}
