"""What an evaluator needs is made, or told to be missing, before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.core.support import RECIPE, Lab, only_run

GENERATORS = Path(__file__).parent / "generator_plugin.py"


@pytest.fixture
def judged(recipe: Path) -> Path:
    recipe.write_text(RECIPE.replace('"toy_confidence"\nevery = 7', '"toy_judge"\nevery = 20'))
    return recipe


def test_evaluators_prepare_once_for_all_runs_and_before_any(
    lab: Lab, judged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab("run", judged, "--set", "seeds=[0,1]", "--plugin", GENERATORS) == 0
    lines = capsys.readouterr().err.splitlines()
    done = [i for i, line in enumerate(lines) if line.startswith("making a judge: done")]
    assert len(done) == 1
    assert done[0] < next(i for i, line in enumerate(lines) if line.startswith("run folder"))
    results = json.loads((only_run() / "seed1" / "results.json").read_text())
    assert results["scalars"]["letters"] == len("fine")


def test_lab_evaluate_prepares_too(lab: Lab, judged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("run", judged, "--plugin", GENERATORS) == 0
    capsys.readouterr()
    assert lab("evaluate", only_run(), "--plugin", GENERATORS) == 0
    output = capsys.readouterr()
    assert "making a judge: done" in output.err and "letters" in output.out


@pytest.mark.parametrize("words", [(), ("--dry-run",)])
def test_what_is_missing_is_told_before_training(
    lab: Lab, judged: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    judged.write_text(judged.read_text().replace('"toy_judge"', '"toy_judge"\nwords = "missing"'))
    assert lab("run", judged, "--plugin", GENERATORS, *words) == 2
    said = capsys.readouterr().err
    assert "error: the judge's weights are missing\n  --> " in said
    assert "= download them" in said
    assert not Path("runs").exists()
