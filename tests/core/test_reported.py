"""What others have reported is a part of a recipe, and of nothing that is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.support import Lab, only_run

REPORTED = '\n[[reported]]\nname = "Report B"\nscores = { "toy_accuracy/train" = 62.28 }\n'


def test_it_is_kept_and_changes_no_run(lab: Lab, recipe: Path) -> None:
    text = recipe.read_text()
    assert lab("run", recipe, "--run-dir", "plain") == 0
    recipe.write_text(text + REPORTED)
    assert lab("run", recipe, "--run-dir", "named") == 0
    plain, named = only_run(Path("plain")), only_run(Path("named"))
    assert "reported" not in (plain / "recipe.toml").read_text()
    assert 'name = "Report B"' in (named / "recipe.toml").read_text()
    assert lab("run", named / "recipe.toml", "--dry-run") == 0
    kept = [line for line in (plain / "run.json").read_text().splitlines() if '"identity"' in line]
    assert kept and kept[0] in (named / "run.json").read_text()


def test_its_scores_are_numbers(lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe.write_text(recipe.read_text() + REPORTED.replace("62.28", '"good"'))
    assert lab("run", recipe, "--dry-run") == 2
    assert "toy.toml:" in capsys.readouterr().err
