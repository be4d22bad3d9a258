"""Commands that are printed work as printed, whether or not the environment is activated."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pluglab.cli.invoked import as_invoked
from tests.core.support import Lab

HINTS = "`lab resume RUN` goes on; go on with: lab resume RUN; a lab is no command, nor is `lab` alone"
CURVES = "curves:  tensorboard --logdir runs"


def test_on_the_path_their_names_are_enough() -> None:
    assert as_invoked(HINTS) == HINTS and as_invoked(CURVES) == CURVES


@pytest.mark.parametrize("here", ["environment", "elsewhere"])
def test_in_an_environment_that_is_not_activated_their_place_is_told(
    here: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "a project" / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("lab", "tensorboard"):
        (programs / name).touch(0o755)
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.chdir(programs.parents[1] if here == "environment" else "/")
    place = ".venv/bin" if here == "environment" else f"{str(tmp_path).lstrip('/')}/a project/.venv/bin"
    lab = f"{place}/lab" if here == "environment" else f"'{place}/lab'"
    assert as_invoked(HINTS) == HINTS.replace("lab resume", f"{lab} resume")
    assert as_invoked(CURVES) == CURVES.replace("tensorboard", lab.replace("bin/lab", "bin/tensorboard"))


def test_errors_and_help_name_the_program_where_it_is(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    assert lab("evaluate", "nothing") == 2
    error = capsys.readouterr().err
    assert "/bin/lab list runs` lists them" in error
    monkeypatch.setenv("COLUMNS", "200")
    assert lab("run", "--help") == 0
    assert "/bin/lab run recipes/dann_digits.toml" in capsys.readouterr().out
