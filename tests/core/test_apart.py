"""Evaluators in processes of their own: the same findings, and a crash that ends no training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pluglab.storage.run_folder import RunFolder
from tests.core.support import RECIPE, Lab, last_state, only_run, same

PLUGIN = """
import os, signal, warnings

from pluglab import Evaluation, UserError


class Falls:
    needs = ()

    def evaluate(self, trainer, data, context):
        warnings.warn(f"looked at step {context.step}")
        if context.step == 8:
            os.kill(os.getpid(), signal.SIGSEGV)
        if context.step == 16:
            os._exit(0)
        if context.step == int(os.environ.get("FALLS_AT", "-1")):
            raise ValueError("a fault of the evaluator's")
        return Evaluation({"fallen": float(context.step)})


def lab_register(registry):
    registry.add("evaluator", "falls", Falls)
"""
APART = RECIPE.replace("[run]", '[run]\nevaluate_in = "process"').replace("steps = 40", "steps = 20")


@pytest.fixture
def falls(tmp_path: Path) -> Path:
    path = tmp_path / "falls.py"
    path.write_text(PLUGIN)
    return path


def test_evaluators_find_the_same_in_processes_of_their_own(lab: Lab, recipe: Path) -> None:
    recipe.write_text(APART)
    assert lab("run", recipe, "--set", "evaluate.1.every=10", "--run-dir", "apart") == 0
    here = "run.evaluate_in='training'"
    assert lab("run", recipe, "--set", "evaluate.1.every=10", "--set", here, "--run-dir", "here") == 0
    apart, here_run = only_run(Path("apart")), only_run(Path("here"))
    found, expected = (json.loads((run / "results.json").read_text()) for run in (apart, here_run))
    assert {**found, "seconds": 0} == {**expected, "seconds": 0}
    assert same(last_state(apart)["trainer"], last_state(here_run)["trainer"])
    assert same(last_state(apart)["random"], last_state(here_run)["random"])
    pictures = [sorted(run.glob("figures/**/*.png")) for run in (apart, here_run)]
    assert [file.read_bytes() for file in pictures[0]] == [file.read_bytes() for file in pictures[1]] != []
    assert list(apart.glob(".evaluating.*")) == []


def test_a_crash_is_told_and_the_training_goes_on(
    lab: Lab, recipe: Path, falls: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe.write_text(APART.replace('"toy_accuracy"', '"falls"\nevery = 8'))
    assert lab("run", recipe, "--plugin", falls) == 0
    said = capsys.readouterr().err
    assert "warning: step 8: the process of evaluator 'falls' crashed: SIGSEGV\n" in said
    assert "warning: step 16: the process of evaluator 'falls' crashed: exit code 0\n" in said
    assert "warning: looked at step 20\n" in said
    assert json.loads((only_run() / "results.json").read_text())["scalars"]["fallen"] == 20


@pytest.mark.slow
def test_a_crash_at_the_end_fails_the_run_which_is_saved(
    lab: Lab, recipe: Path, falls: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe.write_text(APART.replace('"toy_accuracy"', '"falls"'))
    assert lab("run", recipe, "--plugin", falls, "--set", "steps=16") == 1
    said = capsys.readouterr().err
    assert "error: seed 0: the process of evaluator 'falls' crashed: exit code 0\n" in said
    assert last_state(only_run())["step"] == 16 and RunFolder(only_run()).read()["status"] == "failed"


def test_an_exception_fails_the_run_as_ever(
    lab: Lab,
    recipe: Path,
    falls: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FALLS_AT", "4")
    recipe.write_text(APART.replace('"toy_accuracy"', '"falls"\nevery = 4'))
    assert lab("run", recipe, "--plugin", falls) == 1
    said = capsys.readouterr().err
    assert "error: seed 0: ValueError: a fault of the evaluator's\n" in said and "falls.py:" in said
