"""The recipe schema: accepts what a recipe may say, refuses what it may not."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from typing import Annotated, Any, Literal

import pytest
from jsonschema import Draft7Validator
from pydantic import Field

from pluglab.components import Component, Options, Reference, named
from pluglab.plugins import builtin
from pluglab.plugins.registry import Registrar, Registry
from pluglab.recipe.json_schema import recipe_schema
from pluglab.recipe.keys import RecipeOptions


class Encoder:
    class Config(Options):
        width: int = Field(32, ge=1)
        """Channels of the first layer."""
        inner: Annotated[Component, Reference("encoder")] | None = None
        """An encoder to wrap."""


class Inner(Options):
    depth: int = 1
    """How deep."""


class Method:
    class Config(Options):
        encoder: Annotated[Component, Reference("encoder")] = named("conv")
        """What looks at the images."""
        optimizer: Annotated[Component, Reference("optimizer")] = named("adam")
        """What follows the gradient."""
        weight: float = Field(0.5, gt=0, lt=1)
        """Weight of the second loss, between 0 and 1."""
        mode: Literal["soft", "hard"] = "soft"
        """Kind of label."""
        cut: int | None = None
        """Layer to cut at."""
        sizes: tuple[int, int] = (1, 2)
        """Two sizes."""
        inside: Inner = Inner()
        """A table of its own."""


class Needy:
    class Config(Options):
        path: str
        """A folder without a default."""


class Plain:
    """A component without options."""


def a_registry() -> Registry:
    first, second = Registrar("one"), Registrar("two")
    builtin.lab_register(first)
    first.add("trainer", "method", Method, summary="a method", paper="arXiv:0000.00000")
    first.add("encoder", "conv", Encoder)
    first.add("dataset", "digits", Plain)
    first.add("dataset", "folder", Needy)
    first.add("transform", "flip", Plain)
    first.add("evaluator", "accuracy", Plain)
    first.add("metric", "both", Plain)
    second.add("encoder", "broken", "no_such_module:Thing")
    second.add("evaluator", "accuracy", Plain)
    second.add("evaluator", "tsne", Encoder)
    found = Registry()
    kinds = [replace(kind, protocol=None) for kind in first.kinds]  # options are all that counts here
    found.extend([*first.entries, *second.entries], kinds)
    return found


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    found = recipe_schema(a_registry(), RecipeOptions)
    Draft7Validator.check_schema(found)
    return found


def verdict(schema: dict[str, Any], text: str) -> list[str]:
    return [error.message for error in Draft7Validator(schema).iter_errors(tomllib.loads(text))]


ALONE = """
steps = 10
trainer = "method"
data.train = "digits"
"""

GOOD = {
    "short": ALONE,
    "whole": """
        title = "a"
        seeds = [0, 1]
        epochs = 2.5
        transforms = ["flip", {name = "flip"}]
        select = {metric = "tsne/x", mode = "min"}
        table = ["tsne/x"]
        [trainer]
        name = "method"
        weight = 0.25
        mode = "hard"
        cut = 3
        sizes = [3, 4]
        inside.depth = 2
        encoder = {name = "conv", width = 8, inner = {name = "conv", width = 4}}
        optimizer = {name = "one/sgd", lr = 1, momentum = 0.5}
        [data.source]
        name = "folder"
        path = "x"
        transforms = []
        [data.target]
        name = "digits"
        [[evaluate]]
        name = "two/accuracy"
        every = 5
        [[evaluate]]
        name = "tsne"
        width = 2
        [run]
        device = "cpu"
        threads = 2
        channels_last = true
        keep_every = 100
        observers = ["console", {name = "tensorboard"}]
        launcher = {name = "processes", jobs = 2}
    """,
    "engine options": ALONE
    + """
        init = "runs/mine/1@300"
        gradient_accumulation_steps = 2
        max_grad_norm = 1.0
        evaluate = [{name = "tsne", as = "early", every = 5}]
        select = {metric = "tsne/x", patience = 3, oracle = "tsne/x"}
    """,
    "matrix": """
        steps = 10
        [matrix]
        trainer = ["method", {name = "method", weight = 0.5}]
        "trainer.weight" = [0.1, 0.2]
        [matrix.scenario]
        easy = {data.train = "digits"}
    """,
    "names alone": ALONE + 'evaluate = ["tsne", "one/accuracy"]',
    "variants": """
        steps = 10
        [trainer]
        weight = 0.5
        [trainer.encoder]
        width = 3
        [variants.a.trainer]
        name = "method"
        [variants.b]
        data.train = "digits"
        evaluate.0.width = 3
        steps = 3
    """,
    "extension": 'extends = "base.toml"\ntrainer.optimizer.lr = 1e-3',
    "extensions": 'extends = ["a.toml", "b.toml"]',
    "a component that cannot be loaded": ALONE.replace(
        '"method"', '{name = "method", encoder = {name = "broken", anything = 1}}'
    ),
}

BAD = {
    "unknown key": ALONE + "stpes = 3",
    "no trainer": 'data.train = "digits"',
    "no data": 'trainer = "method"',
    "trainer without a name": "trainer = {weight = 0.5}\ndata.train = 'digits'",
    "role without a name": "trainer = 'method'\ndata.train = {}",
    "unknown trainer": ALONE.replace("method", "metod"),
    "unknown option": ALONE.replace('"method"', '{name = "method", wieght = 0.5}'),
    "value out of bounds": ALONE.replace('"method"', '{name = "method", weight = 1.5}'),
    "wrong type": ALONE.replace('"method"', '{name = "method", cut = "three"}'),
    "wrong word": ALONE.replace('"method"', '{name = "method", mode = "sof"}'),
    "wrong length": ALONE.replace('"method"', '{name = "method", sizes = [1, 2, 3]}'),
    "unknown option in a table": ALONE.replace('"method"', '{name = "method", inside = {dpth = 1}}'),
    "option of another component": ALONE.replace(
        '"method"', '{name = "method", optimizer = {name = "adam", momentum = 0.5}}'
    ),
    "unknown component inside": ALONE.replace('"method"', '{name = "method", encoder = "cnv"}'),
    "kind of another": ALONE.replace('"method"', '{name = "method", encoder = "adam"}'),
    "ambiguous name": ALONE + 'evaluate = ["accuracy"]',
    "evaluator without a name": ALONE + "evaluate = [{every = 5}]",
    "every of nought": ALONE + 'evaluate = [{name = "tsne", every = 0}]',
    "missing option in a list": ALONE + 'transforms = [{name = "flop"}]',
    "transform option": ALONE + 'transforms = [{name = "flip", angle = 3}]',
    "unknown dataset": ALONE.replace("digits", "digit"),
    "unknown key in a variant": ALONE + "[variants.a]\nstep = 3",
    "unknown option in a variant": ALONE + '[variants.a.trainer]\nname = "method"\nalpha = 3',
    "option that no trainer has": ALONE + "[variants.a.trainer]\nalpha = 3",
    "item without a number": ALONE + "[variants.a]\nevaluate.first.width = 3",
    "machine": ALONE + 'run.device = "tpu"',
    "unknown key of the machine": ALONE + "run.thread = 3",
    "unknown observer": ALONE + 'run.observers = ["consle"]',
    "option of another launcher": ALONE + 'run.launcher = {name = "in_turn", jobs = 2}',
    "label that is no text": ALONE + 'evaluate = [{name = "tsne", as = 3}]',
    "axis that is no list": ALONE + "[matrix]\ntrainer = 3",
    "patience of nought": ALONE + 'select = {metric = "x", patience = 0}',
    "batch size": ALONE + "batch_size = 0",
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD.keys())
def test_good_recipes_pass(schema: dict[str, Any], text: str) -> None:
    assert verdict(schema, text) == []


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_bad_recipes_do_not(schema: dict[str, Any], text: str) -> None:
    assert verdict(schema, text)


def rule_of(schema: dict[str, Any], key: str, name: str) -> dict[str, Any]:
    """The options of the component `name` at a top-level key."""
    table = schema["properties"][key]["anyOf"][1]
    return next(rule["then"] for rule in table["allOf"] if name in str(rule["if"]))["properties"]


def test_options_bring_their_descriptions_and_defaults(schema: dict[str, Any]) -> None:
    weight = rule_of(schema, "trainer", "one/method")["weight"]
    assert weight == {
        "type": "number",
        "exclusiveMinimum": 0,
        "exclusiveMaximum": 1,
        "default": 0.5,
        "description": "Weight of the second loss, between 0 and 1.",
    }
    encoder = rule_of(schema, "trainer", "one/method")["encoder"]
    assert encoder["default"] == "conv" and encoder["description"] == "What looks at the images."
    assert encoder["anyOf"][0]["enum"] == ["broken", "two/broken", "conv", "one/conv"]
    assert "a method (arXiv:0000.00000)" in str(rule_of(schema, "trainer", "one/method")["name"])


def test_nothing_refers_elsewhere_and_nothing_is_null(schema: dict[str, Any]) -> None:
    def keys(value: Any) -> set[str]:
        items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
        return (set(value) if isinstance(value, dict) else set()).union(*map(keys, items))

    assert not keys(schema) & {"$ref", "$defs", "definitions", "prefixItems"}
    assert "null" not in str(schema) and "None" not in str(schema)


def test_a_core_without_plugins_has_a_schema_too() -> None:
    empty = recipe_schema(Registry(), RecipeOptions)
    Draft7Validator.check_schema(empty)
    assert verdict(empty, ALONE) == []
