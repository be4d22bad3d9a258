"""A metric of torchmetrics in a recipe: registered in one line, reported as it computes, refused in time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from torchmetrics.classification import MulticlassF1Score

import pluglab
from pluglab.observers.console import progress_bar
from pluglab.plugins.loading import load_plugins
from pluglab.protocols import DataContext
from pluglab.recipe.resolve import make
from tests.integration.conftest import Lab

PLUGIN = """
def lab_register(registry):
    registry.add("metric", "f1", "torchmetrics.classification:MulticlassF1Score")
"""

RECIPE = """
steps = 40
batch_size = 32
transforms = ["standardize"]
[trainer]
name = "source_only"
encoder = "dsn_paper"
[data]
source = { name = "digits", size = 16 }
[select]
metric = "f1/source"
[[evaluate]]
name = "EVALUATOR"
every = 20
metrics = [{ name = "f1", num_classes = CLASSES, average = "weighted" }]
[run]
precision = "32"
"""


def recipe(evaluator: str = "classification", classes: int = 10) -> str:
    return RECIPE.replace("EVALUATOR", evaluator).replace("CLASSES", str(classes))


def test_it_is_reported_selects_and_equals_calling_it(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN)
    (tmp_path / "mine.toml").write_text(recipe())
    shown = lab("show", "metric", "f1", "--plugin", "mine.py").stdout
    assert "num_classes" in shown and "average" in shown
    lab("run", "mine.toml", "--plugin", "mine.py")
    (run,) = (tmp_path / "runs" / "mine").iterdir()
    results = json.loads((run / "results.json").read_text())
    assert results["selected_by"]["metric"] == "f1/source"
    protocol = results["evaluations"]["classification"]["protocols"]["f1/source"]
    assert protocol["metric"]["average"] == "weighted"

    digits = make(load_plugins(only="datasets").registry, "dataset", "digits", size=16).build()
    digits.prepare(DataContext(None, tmp_path / "cache", progress_bar))
    images = digits.split("test")
    probabilities = pluglab.load(run, trust=True).predict(images.pixels)
    by_hand = MulticlassF1Score(10, average="weighted")(probabilities, images.labels).item()
    assert results["scalars"]["f1/source"] == pytest.approx(by_hand, rel=1e-5) and by_hand > 0.1


@pytest.mark.parametrize(
    ("evaluator", "classes", "words"),
    [
        ("classification", 4, "cannot take probabilities of the 10 classes of 'source'"),
        ("reconstructions", 10, "trainer that can reconstruct images"),
    ],
)
def test_where_it_cannot_be_fed_nothing_is_trained(
    lab: Lab, tmp_path: Path, evaluator: str, classes: int, words: str
) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN)
    (tmp_path / "mine.toml").write_text(recipe(evaluator, classes))
    said = lab("run", "mine.toml", "--plugin", "mine.py", exit_code=2).stderr
    assert words in said and "mine.toml:13" in said
    assert not (tmp_path / "runs").exists()
