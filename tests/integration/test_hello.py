"""A plugin as a stranger writes it, and pluglab from its wheels: installed with pip, it is found and runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.conftest import ROOT, Lab

EXAMPLE = ROOT / "examples" / "pluglab-hello"


@pytest.fixture
def installed(tmp_path: Path) -> str:
    """A folder for PYTHONPATH that pip has installed the example into."""
    source = shutil.copytree(EXAMPLE, tmp_path / "source")
    before = sorted(source.rglob("*"))
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target"]
    words: list[str | Path] = [sys.executable, "-m", "pip", "install", *options, tmp_path / "site", source]
    subprocess.run(words, check=True)
    assert sorted(source.rglob("*")) == before  # nothing was built in the tree
    return str(tmp_path / "site")


def test_it_is_found_with_its_components(wheel_lab: Lab, installed: str) -> None:
    reports = json.loads(wheel_lab("list", "plugins", "--json", PYTHONPATH=installed).stdout)
    (hello,) = [report for report in reports if report["name"] == "hello"]
    expected = {"status": "ok", "distribution": "pluglab-hello", "components": 2, "error": ""}
    assert expected.items() <= hello.items()
    shown = wheel_lab("show", "trainer", "perceptron", PYTHONPATH=installed).stdout
    assert "hidden" in shown
    assert "Hidden units." in shown


def test_its_recipe_runs_with_an_evaluator_of_another_plugin(
    wheel_lab: Lab, installed: str, tmp_path: Path
) -> None:
    wheel_lab("run", EXAMPLE / "recipes" / "shapes.toml", PYTHONPATH=installed)
    (results,) = (tmp_path / "runs").glob("shapes/*/results.json")
    accuracy = json.loads(results.read_text())["scalars"]["accuracy/train"]
    assert accuracy > 80  # of three classes: chance is 33
    assert (results.parent / "figures" / "accuracy_confusion_train.png").is_file()


def test_without_it_its_recipe_says_what_is_missing(wheel_lab: Lab) -> None:
    said = wheel_lab("run", EXAMPLE / "recipes" / "shapes.toml", exit_code=2).stderr
    assert "unknown trainer 'perceptron'" in said
    assert "shapes.toml:5" in said
