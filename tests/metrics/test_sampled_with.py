"""An evaluator under other options of sampling, which are the trainer's own, whatever these are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Protocol

import pytest
import torch
from jsonschema import Draft7Validator
from pydantic import Field

from pluglab import Component, Evaluation, Images, Options, Reference, Registrar, TrainerBase, named, table
from pluglab.capabilities import Samples
from pluglab.data.run_data import DatasetCache, RunData
from pluglab.engine.evaluation import promises_of
from pluglab.errors import RecipeError
from pluglab.plugins.registry import Registry
from pluglab.protocols import DataContext
from pluglab.recipe.json_schema import recipe_schema
from pluglab.recipe.keys import RecipeOptions
from pluglab.recipe.recipe import Recipe, load_recipe
from pluglab_metrics.sampled_with import title_of
from tests.evaluation import InMemory, SilentBar, context_in
from tests.registries import registry_of

PIXELS = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
RECIPE = """steps = 10
trainer = "flow"
data.train = "blank"
[[evaluate]]
name = "sampled_with"
evaluator = "brightness"
sampling = { SAMPLING }
"""


class Solver(Protocol):
    def share(self) -> float: ...


class Heun:
    class Config(Options):
        weight: float = Field(0.5, gt=0)
        """A share."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def share(self) -> float:
        return self.config.weight


class Flow(TrainerBase):
    """A stranger's trainer: its options of sampling are none of ours, one of them a component."""

    class Sampling(Options):
        solver: Annotated[Component, Reference("solver")] = named("heun")
        """How to go on."""
        hops: int = Field(3, ge=1, le=9)
        """How often."""

    class Config(Options):
        sampling: Flow.Sampling = table()
        """Options of sampling."""

    sampling: Flow.Sampling

    def __init__(self, config: Any, data: Any) -> None:
        self.sampling = config.sampling

    def step(self, batch: Any, progress: Any) -> Any:
        raise AssertionError("nothing is trained here")

    def sample(self, n: int, labels: Any, generator: torch.Generator) -> torch.Tensor:
        share = self.sampling.hops * self.sampling.solver.build().share() / 10
        return torch.full((n, 1, 8, 8), share)


Flow.Config.model_rebuild(_types_namespace={"Flow": Flow})


class Brightness:
    needs = (Samples,)

    def check(self, trainer: Any, data: Any) -> Any:
        return {"mean": ()}

    def evaluate(self, trainer: Any, data: Any, context: Any) -> Evaluation:
        return Evaluation({"mean": trainer.sample(1, None, torch.Generator()).mean().item()})


class Blank(InMemory):
    splits = {"train": Images(PIXELS), "test": Images(PIXELS)}


@pytest.fixture(scope="module")
def registry() -> Registry:
    registry, registrar = registry_of("metrics"), Registrar("stranger")
    registrar.kind("solver", protocol=f"{__name__}:Solver", summary="how to go on")
    for kind, target in (("trainer", Flow), ("solver", Heun), ("evaluator", Brightness), ("dataset", Blank)):
        registrar.add(kind, target.__name__.lower(), target)
    registry.extend(registrar.entries, registrar.kinds)
    return registry


def resolved(registry: Registry, sampling: str) -> Recipe:
    Path("r.toml").write_text(RECIPE.replace("SAMPLING", sampling))
    return load_recipe(Path("r.toml")).resolve(registry)


def promised(recipe: Recipe) -> Any:
    """What is told before a training, by a trainer that has learned nothing."""
    data = RunData(recipe, DatasetCache(DataContext(None, Path("none"), SilentBar)))
    (use,) = recipe.evaluators
    trainer = recipe.options.trainer.build(data.specs())
    return promises_of(recipe, [use.component.build()], trainer, data)[use.label]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_strangers_options_are_taken_and_its_components_are_made(
    registry: Registry, tmp_path: Path
) -> None:
    """0.3 = 6 x 0.5 / 10, and 0.54 = 9 x 0.6 / 10; by itself it would be 0.15."""
    for sampling, title, mean in (
        ("hops = 6", "hops_6", 0.3),
        ('solver = { name = "heun", weight = 0.6 }, hops = 9', "heun_9", 0.54),
    ):
        recipe = resolved(registry, sampling)
        assert promised(recipe) == {f"{title}_mean": (), f"{title}_seconds": ()}
        trainer = recipe.options.trainer.build({})
        found = recipe.evaluators[0].component.build().evaluate(trainer, {}, context_in(tmp_path))
        assert found.scalars[f"{title}_mean"] == pytest.approx(mean)
        assert found.protocol["sampling"]["hops"] == int(title[-1])
        assert trainer.sampling is recipe.options.trainer.config.sampling


@pytest.mark.parametrize(
    ("sampling", "message", "under", "help"),
    [
        ('solver = "huen"', "unknown solver 'huen'", '"huen"', "did you mean 'heun'?"),
        ("steps = 3", "unknown option 'steps' for the options of sampling of Flow", "steps", "solver, hops"),
        (
            "hops = 12",
            "option 'hops' of the options of sampling of Flow is wrong",
            "12",
            "than or equal to 9",
        ),
    ],
)
def test_wrong_ones_are_told_at_their_place_before_the_training(
    registry: Registry, sampling: str, message: str, under: str, help: str
) -> None:
    recipe = resolved(registry, sampling)
    with pytest.raises(RecipeError) as told:
        promised(recipe)
    said = told.value.render()
    assert message in said and "r.toml:7" in said and help in said
    line, caret = said.splitlines()[3:5]
    start = caret.index("^")
    assert line[start : start + caret.count("^")] == under


def test_what_is_no_table_is_told_when_the_recipe_is_read(registry: Registry) -> None:
    Path("r.toml").write_text(RECIPE.replace("{ SAMPLING }", '"fast"'))
    with pytest.raises(RecipeError) as told:
        load_recipe(Path("r.toml")).resolve(registry)
    said = told.value.render()
    assert "option 'sampling' of evaluator 'sampled_with' is wrong" in said
    assert "^^^^^^ should be a table" in said and len(told.value.problems) == 1


def test_the_options_are_kept_as_they_were_written(registry: Registry) -> None:
    recipe = resolved(registry, "hops = 6")
    (kept,) = recipe.to_dict()["evaluate"]
    assert kept["sampling"] == {"hops": 6}


def test_an_editor_takes_any_table_for_them(registry: Registry) -> None:
    checks = Draft7Validator(recipe_schema(registry, RecipeOptions))
    use = {"name": "sampled_with", "evaluator": "brightness"}
    recipe = {"steps": 1, "trainer": "flow", "data": {"train": "blank"}}
    assert checks.is_valid({**recipe, "evaluate": [{**use, "sampling": {"hops": 6}}]})
    assert not checks.is_valid({**recipe, "evaluate": [{**use, "sampling": 6}]})


@pytest.mark.parametrize(
    ("table", "title"),
    [
        ({}, "default"),
        ({"sampler": "ddim", "steps": 50}, "ddim_50"),
        ({"sampler": {"name": "heun", "churn": 1.0}, "steps": 5}, "heun_5"),
        ({"steps": 4}, "steps_4"),
        ({"truncation": 0.5}, "truncation_0.5"),
        ({"guide": "runs/a/b@200", "clip": False, "steps": 3}, "guide_clip_3"),
    ],
)
def test_a_title_is_made_of_the_options_given(table: dict[str, Any], title: str) -> None:
    assert title_of(table) == title
