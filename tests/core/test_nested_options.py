"""A table of options within a component's options, one of which is a component itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import pytest
from jsonschema import Draft7Validator
from pydantic import Field

from pluglab.components import Component, Options, Reference, named, table
from pluglab.errors import UserError
from pluglab.plugins import builtin
from pluglab.plugins.registry import Registrar, Registry
from pluglab.recipe.json_schema import recipe_schema
from pluglab.recipe.keys import RecipeOptions
from pluglab.recipe.recipe import Recipe, load_recipe
from pluglab.recipe.resolve import make
from tests.core.support import Lab


class Walk:
    class Config(Options):
        noise: float = Field(0.0, ge=0)
        """How much noise."""


class Jump:
    class Config(Options):
        far: bool = True
        """How far."""


class Drawing(Options):
    sampler: Annotated[Component, Reference("sampler")] = named("walk")
    """How to go."""
    steps: int = Field(10, ge=1)
    """How many steps."""


class Method:
    class Config(Options):
        drawing: Drawing = table()
        """How images are drawn."""


class Images:
    Config = Options


@pytest.fixture(scope="module")
def registry() -> Registry:
    registrar = Registrar("toys")
    builtin.lab_register(registrar)
    for kind, name, target in (
        ("trainer", "method", Method),
        ("sampler", "walk", Walk),
        ("sampler", "jump", Jump),
        ("dataset", "images", Images),
    ):
        registrar.add(kind, name, target)
    return Registry(registrar.entries)


HEAD = 'steps = 10\ndata.train = "images"\n[trainer]\nname = "method"\n'


def resolved(registry: Registry, text: str, *sets: str) -> Recipe:
    path = Path("r.toml")  # the working folder is the test's own
    path.write_text(HEAD + text)
    return load_recipe(path, sets).resolve_all(registry)[0]


@pytest.mark.parametrize(
    ("text", "sets", "expected"),
    [
        ("", (), {"sampler": {"name": "walk", "noise": 0.0}, "steps": 10}),
        ("[trainer.drawing]\nsteps = 3", (), {"sampler": {"name": "walk", "noise": 0.0}, "steps": 3}),
        (
            "[trainer.drawing.sampler]\nnoise = 2.0",
            (),
            {"sampler": {"name": "walk", "noise": 2.0}, "steps": 10},
        ),
        ("", ("trainer.drawing.sampler=jump",), {"sampler": {"name": "jump", "far": True}, "steps": 10}),
    ],
)
def test_what_is_not_written_has_its_default(
    registry: Registry, text: str, sets: tuple[str, ...], expected: dict[str, Any]
) -> None:
    recipe = resolved(registry, text, *sets)
    assert recipe.options.trainer.dump()["drawing"] == expected
    config: Any = recipe.options.trainer.config
    assert isinstance(config.drawing, Drawing) and isinstance(config.drawing.sampler, Component)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "[trainer.drawing]\nstep = 3",
            "unknown option 'step' for 'drawing' of trainer 'method'\n --> r.toml:6",
        ),
        (
            "[trainer.drawing]\nsteps = 0",
            "option 'steps' of 'drawing' of trainer 'method' is wrong\n --> r.toml:6",
        ),
        ("[trainer.drawing]\nsampler = 'wolk'", "unknown sampler 'wolk'\n --> r.toml:6"),
        ("[trainer.drawing.sampler]\nnoise = -1", "option 'noise' of sampler 'walk' is wrong\n --> r.toml:6"),
        ("drawing = 3", "option 'drawing' of trainer 'method' is wrong\n --> r.toml:5"),
    ],
)
def test_each_mistake_is_told_once_at_its_place(registry: Registry, text: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        resolved(registry, text)
    told = caught.value.render()
    assert told.count("error: ") == 1 and words in told, told


def test_from_python(registry: Registry) -> None:
    config: Any = make(registry, "trainer", "method", drawing={"sampler": "jump"}).config
    assert config.drawing.sampler.name == "jump"


def test_the_schema_knows_the_table(registry: Registry) -> None:
    validator = Draft7Validator(recipe_schema(registry, RecipeOptions))
    recipe = {"steps": 10, "data": {"train": {"name": "images"}}}
    good = {"sampler": {"name": "walk", "noise": 1.0}, "steps": 3}
    assert not list(validator.iter_errors({**recipe, "trainer": {"name": "method", "drawing": good}}))
    for bad in ({"step": 3}, {"sampler": "wolk"}, {"sampler": {"name": "jump", "noise": 1.0}}):
        assert list(validator.iter_errors({**recipe, "trainer": {"name": "method", "drawing": bad}})), bad


PLUGIN = """
from typing import Annotated
from pluglab import Component, Options, Reference, TrainerBase, named, table

class Walk:
    pass

class Drawing(Options):
    sampler: Annotated[Component, Reference("sampler")] = named("walk")
    '''How to go.'''
    steps: int = 10
    '''How many steps.'''

class Method(TrainerBase):
    class Config(Options):
        drawing: Drawing = table()
        '''How images are drawn.'''

    def __init__(self, config, data):
        self.config = config

    def step(self, batch, progress):
        return {}

def lab_register(registry):
    registry.kind("sampler")
    registry.add("sampler", "walk", Walk)
    registry.add("trainer", "method", Method)
"""


def test_show_lists_the_options_of_the_table(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    Path("drawing.py").write_text(PLUGIN)
    assert lab("show", "trainer", "method", "--json", "--plugin", "drawing.py", toys=False) == 0
    options = {row["option"]: row for row in json.loads(capsys.readouterr().out)["options"]}
    assert list(options) == ["drawing", "drawing.sampler", "drawing.steps"]
    assert options["drawing.sampler"]["type"] == "sampler (walk)"
    assert options["drawing.steps"]["meaning"] == "How many steps."
