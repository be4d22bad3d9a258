"""`lab show recipe` says of each value where it was written, and defaults can be changed in part."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.core.support import Lab


def shown(lab: Lab, capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, tuple[object, str]]:
    assert lab("show", "recipe", *words, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    return {row["key"]: (row["value"], Path(row["origin"]).name) for row in rows}


def line_of(recipe: Path, text: str) -> str:
    lines = recipe.read_text().splitlines()
    return f"{recipe.name}:{lines.index(text) + 1}"


def test_names_are_traced_to_their_lines(lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(lab, capsys, recipe)
    assert found["trainer.name"] == ("toy", line_of(recipe, 'name = "toy"'))
    assert found["evaluate.1.name"] == ("toy_confidence", line_of(recipe, 'name = "toy_confidence"'))
    shared = line_of(recipe, 'transforms = ["jitter"]')
    assert found["data.train.transforms.0.name"] == ("jitter", shared)
    assert found["trainer.optimizer.name"] == ("adam", "default")


def test_a_transform_list_of_a_role_is_its_own(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    override = 'data.train.transforms=["jitter"]'
    found = shown(lab, capsys, recipe, "--set", override)
    assert found["data.train.transforms.0.name"] == ("jitter", f"--set {override}")


def test_an_option_of_a_default_component_is_changed_without_naming_it(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = shown(lab, capsys, recipe, "--set", "trainer.optimizer.lr=3e-4")
    assert found["trainer.optimizer.name"] == ("adam", "default")
    assert found["trainer.optimizer.lr"] == (3e-4, "--set trainer.optimizer.lr=3e-4")
