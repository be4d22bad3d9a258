"""A role that is neither source nor target is refused before anything is written, or said to be one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pluglab
from pluglab.errors import UserError

RECIPE = {
    "steps": 10,
    "batch_size": 8,
    "trainer": {"name": "adabn", "encoder": {"name": "modern", "width": 8}},
    "data": {role: {"name": "digits", "size": 16} for role in ("source", "target", "val")},
    "evaluate": ["accuracy"],
    "run": {"device": "cpu", "precision": "32"},
}


def test_it_is_refused_before_the_training(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the role 'val' is neither 'source' nor 'target'"):
        pluglab.run(RECIPE, run_dir=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_no_evaluator_no_refusal_and_an_option_says_what_it_is(tmp_path: Path) -> None:
    assert pluglab.run({**RECIPE, "evaluate": []}, run_dir=tmp_path).results["scalars"] == {}
    option: dict[str, Any] = {"trainer.domains": {"val": "target"}}
    found = pluglab.run(RECIPE, run_dir=tmp_path, **option).scalars
    assert found["accuracy/val"] == found["accuracy/target"]
