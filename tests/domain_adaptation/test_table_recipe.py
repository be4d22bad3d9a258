"""recipes/adaptation_table.toml: what a row says that it is, it is."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pluglab.recipe.recipe import Recipe, load_recipe
from tests.registries import registry_of

FILE = Path(__file__).parents[2] / "recipes" / "adaptation_table.toml"
METHODS = ["DANN", "CDAN", "DeepCORAL", "MCD", "SHOT", "DSN", "ADDA", "MCC"]


@cache
def cells() -> dict[str, Recipe]:
    registry = registry_of("domain_adaptation", "datasets", "metrics")
    found = load_recipe(FILE).resolve_all(registry)
    return {recipe.variant: recipe for recipe in found if recipe.seed == 0}


def rows(scenario: str) -> dict[str, Recipe]:
    return {n.removeprefix(f"{scenario}, "): r for n, r in cells().items() if n.startswith(f"{scenario}, ")}


SCENARIOS = [f"{a} to {b}" for a, b in (("MNIST-M", "SVHN"), ("SVHN", "USPS"), ("USPS", "MNIST-M"))]


def options(recipe: Recipe) -> dict[str, Any]:
    return recipe.options.trainer.dump()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_method_has_a_row_as_published_and_a_strong_one(scenario: str) -> None:
    assert {f"{m} ({kind})" for m in METHODS for kind in ("paper", "strong")} <= set(rows(scenario))
    assert {"source only", "AdaBN", "target losses only"} <= set(rows(scenario))
    assert f"{scenario.split(' to ')[1]}, target only" in cells()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_published_rows_have_nothing_but_the_method(scenario: str) -> None:
    for name, recipe in rows(scenario).items():
        if name.endswith("(paper)"):
            own = options(recipe)
            assert own.get("batch_norm", "joint") == "joint", name
            losses = ["class_confusion"] if name.startswith("MCC") else []
            assert [loss["name"] for loss in own["target_losses"]] == losses, name


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_strong_rows_are_the_row_of_target_losses_and_the_method(scenario: str) -> None:
    shared = options(rows(scenario)["target losses only"])
    assert shared["domain_weight"] == 0 and shared["batch_norm"] == "per_domain"
    assert [loss["name"] for loss in shared["target_losses"]] == ["information_maximization", "pseudo_labels"]
    for name, recipe in rows(scenario).items():
        if name.endswith("(strong)"):
            own = options(recipe)
            assert own["target_losses"][1] == shared["target_losses"][1], name
            assert own.get("batch_norm", "per_domain") == "per_domain", name


def test_what_is_held_fixed_is_so_in_all_rows_of_a_scenario() -> None:
    for scenario in SCENARIOS:
        first, *others = rows(scenario).values()
        for recipe in others:
            for key in ("encoder", "optimizer", "schedule", "label_smoothing"):
                assert options(recipe)[key] == options(first)[key]
            assert recipe.options.steps == 1000 and recipe.options.batch_size == 64
            for role in ("source", "target"):
                assert [t.dump() for t in recipe.data[role].transforms] == [
                    t.dump() for t in first.data[role].transforms
                ]


def test_checkpoints_are_picked_on_target_images_that_train_nothing() -> None:
    for name, recipe in cells().items():
        target = recipe.data["target"].dataset.dump()
        assert target["name"] == "subset" and target["held_out"] == 0.1, name
        (validators,) = [e for e in recipe.options.evaluate if e["name"] == "validators"]
        assert validators["split"] == "held_out", name
        assert recipe.options.select is not None
        assert recipe.options.select.metric == "validators/information_maximization"
