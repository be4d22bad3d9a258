"""Where pluglab runs: Linux and macOS; a system without their locks, as Windows is, is refused in a line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT = "import sys; sys.modules['fcntl'] = None; "
REFUSAL = "pluglab runs on Linux and macOS; on Windows, use it inside WSL"


@pytest.mark.parametrize("words", [["list", "plugins"], ["run", "recipe.toml"], ["--help"]], ids=" ".join)
def test_a_command_says_where_it_runs(words: list[str], tmp_path: Path) -> None:
    code = f"{WITHOUT}from pluglab.cli import main; main({words!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [f"error: {REFUSAL}"]
    assert not list(tmp_path.iterdir())


def test_so_does_python(tmp_path: Path) -> None:
    code = f"{WITHOUT}import pluglab; pluglab.load('run')"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == f"pluglab.errors.UserError: {REFUSAL}"
