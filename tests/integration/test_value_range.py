"""Generators refuse, before the training, images that transforms took out of [-1, 1]; others take them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pluglab.data.run_data import DatasetCache, RunData
from pluglab.data.value_range import check_range
from pluglab.errors import RecipeError
from pluglab.observers.console import progress_bar
from pluglab.protocols import DataContext
from pluglab.recipe.positions import parse_toml
from pluglab.recipe.recipe import recipe_file
from tests.integration.conftest import Lab
from tests.registries import registry_of

GENERATORS = ["dcgan", "sngan", "sagan", "stylegan2_lite", "acgan", "ddpm", "edm", "vae"]
RECIPE = """
steps = 1
trainer = "TRAINER"
transforms = TRANSFORMS
[data]
train = { name = "digits", size = 16 }
source = { name = "digits", size = 16 }
[run]
precision = "32"
"""


def recipe(trainer: str, transforms: str) -> str:
    return RECIPE.replace("TRAINER", trainer).replace("TRANSFORMS", transforms)


def check(tmp_path: Path, trainer: str, transforms: str) -> None:
    registry = registry_of("gan", "diffusion", "autoencoder", "domain_adaptation", "datasets")
    layers = [parse_toml(recipe(trainer, transforms), "r.toml")]
    resolved = recipe_file(layers, tmp_path / "r.toml").resolve(registry)
    check_range(RunData(resolved, DatasetCache(DataContext(None, tmp_path, progress_bar))))


@pytest.mark.parametrize("trainer", GENERATORS)
def test_every_generator_refuses_what_leaves_the_range(tmp_path: Path, trainer: str) -> None:
    for transforms, told in [
        ('["standardize"]', "standardize"),
        ('["random_flip", "random_gain"]', "random_gain"),
        ('[{ name = "random_gain", gain = 0.0, brightness = 0.1 }]', "random_gain"),
        ('["standardize", "random_gain"]', "standardize"),
    ]:
        with pytest.raises(RecipeError, match=f"'{told}' takes images out of .* and '{trainer}'") as error:
            check(tmp_path, trainer, transforms)
        assert error.value.problems[0].help


@pytest.mark.parametrize("trainer", GENERATORS)
def test_what_stays_in_the_range_is_taken(tmp_path: Path, trainer: str) -> None:
    check(tmp_path, trainer, "[]")
    every = '["random_affine", "random_invert", "random_flip", "to_gray", { name = "zoom", factor = 0.7 }]'
    check(tmp_path, trainer, every)


def test_a_trainer_that_makes_no_images_learns_from_any(tmp_path: Path) -> None:
    check(tmp_path, "source_only", '["standardize"]')


def test_it_is_told_before_anything_is_written(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(recipe("dcgan", '["standardize"]'))
    for words in (["--dry-run"], []):
        told = lab("run", "r.toml", *words, exit_code=2).stderr
        assert "'standardize' takes images out of [-1, 1]" in told and "leave 'standardize' out" in told
    assert not (tmp_path / "runs").exists()
