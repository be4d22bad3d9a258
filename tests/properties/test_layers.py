"""Layers of a recipe: merged as a model of a few lines says, each value where its origin says."""

from __future__ import annotations

import copy
from typing import Any

import tomli_w
from hypothesis import assume, given
from hypothesis import strategies as st

from pluglab.errors import RecipeError
from pluglab.recipe.layers import Tree, nested, value_at
from pluglab.recipe.positions import TomlSource, parse_toml
from tests.properties.values import leaves, tables

NAMES = st.sampled_from(["a", "b", "name", "0", "1"])  # few, so that layers meet
TABLES = st.lists(tables(NAMES), min_size=1, max_size=4)


def merged(old: Any, new: Any) -> Any:
    """What `new` over `old` is. Raises `IndexError` for an item that is not there."""
    if not isinstance(new, dict):
        return new
    if isinstance(old, list) and new and all(key.isdigit() for key in new):
        items = list(old)
        for key, value in new.items():
            items[int(key)] = merged(items[int(key)], value)
        return items
    table = {"name": old} if isinstance(old, str) else dict(old) if isinstance(old, dict) else {}
    return table | {key: merged(table.get(key), value) for key, value in new.items()}


def overlaid(layers: list[dict[str, Any]]) -> Tree:
    tree = Tree()
    for number, layer in enumerate(layers):
        tree.overlay(layer, TomlSource(f"layer {number}", "", layer))
    return tree


def model(layers: list[dict[str, Any]]) -> dict[str, Any]:
    found: Any = {}
    for layer in layers:
        found = {**found, **{key: merged(found.get(key), value) for key, value in layer.items()}}
    return dict(found)


@given(TABLES)
def test_layers_are_merged_as_the_model_says(layers: list[dict[str, Any]]) -> None:
    before = copy.deepcopy(layers)
    try:
        expected = model(copy.deepcopy(layers))
    except IndexError:
        try:
            overlaid(layers)
        except RecipeError as error:
            assert "has no item" in str(error)
            return
        raise AssertionError("an item that is not there was taken") from None
    assert overlaid(layers).data == expected
    assert layers == before  # what is read from files stays as it was


@given(TABLES)
def test_every_value_is_where_its_origin_says(layers: list[dict[str, Any]]) -> None:
    try:
        tree = overlaid(layers)
    except RecipeError:
        assume(False)
    for path, value in leaves(tree.data):
        found = tree.origin(path)
        assert found is not None, path
        origin, rest = found
        written = value_at(origin.source.data, (*origin.path, *rest))
        if written is None and rest == ("name",):
            written = value_at(origin.source.data, origin.path)  # a name alone instead of a table
        assert written == value and type(written) is type(value), (path, origin.path, rest)


@given(tables(NAMES))
def test_a_layer_over_itself_changes_nothing(layer: dict[str, Any]) -> None:
    once, twice = overlaid([layer]), overlaid([layer, layer])
    assert once.data == twice.data and not twice.inherited


@given(tables(), st.lists(st.text("abc", min_size=1, max_size=2), min_size=1, max_size=4), st.integers())
def test_a_copy_of_a_tree_is_one_of_its_own(table: dict[str, Any], keys: list[str], value: int) -> None:
    tree = overlaid([table])
    before, other = copy.deepcopy(tree), tree.copy()
    other.overlay(nested(".".join(keys), value), parse_toml("", "other"))
    assert tree == before
    assert value_at(other.data, tuple(keys)) == value


@given(tables())
def test_a_recipe_written_is_the_one_that_is_read(table: dict[str, Any]) -> None:
    assert parse_toml(tomli_w.dumps(table), "written").data == table
