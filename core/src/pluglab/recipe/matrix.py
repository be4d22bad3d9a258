"""`[matrix]`: variants that are a product, said as one.

    [matrix]
    scenario = ["scenarios/usps_svhn.toml", "scenarios/svhn_usps.toml"]     # files to extend
    "trainer.name" = ["source_only", "dann", "dsn"]                        # values of that key
    "trainer.optimizer.lr" = [1e-3, 1e-4]
    [matrix.augmentation]                                                  # tables, with names of their own
    none = { transforms = [] }

Every combination is a variant, called after its parts: 'usps_svhn, dann, lr 0.001, none'. What `[variants]`
says of one of these names is laid over it; its other variants come after the product.

Its `axes` are these names, by axis: {scenario = "usps_svhn", "trainer.name" = "dann", ...}.

Files and named tables are laid over the recipe first, then values, those of the longest keys last. So a
variant is what its name says, whatever the order of the axes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product
from pathlib import Path
from typing import Any

from pluglab.errors import KeyPath, Problem, RecipeError
from pluglab.recipe.keys import RecipeOptions
from pluglab.recipe.layers import Part, Tree, base_parts, named_parts, nested, table_parts
from pluglab.recipe.positions import TomlSource

EXAMPLE = 'for example "trainer.name" = ["dann", "dsn"]'
KEYS = {*RecipeOptions.model_fields, "extends"}


@dataclass(frozen=True)
class _Value:
    """One value of an axis: its name, and what it lays over the recipe; of a higher `rank` later."""

    name: str
    parts: tuple[Part, ...]
    rank: int = -1


def matrix_parts(tree: Tree, layers: Sequence[TomlSource], path: Path) -> dict[str, tuple[Part, ...]]:
    """The parts of each variant of the product, by its name, in order; none without a `[matrix]`."""
    table = tree.data.get("matrix", {})
    if not isinstance(table, Mapping):
        raise _error(tree, ("matrix",), "'matrix' must be a table of axes", path)
    if not table:
        return {}
    axes = [list(_axis(tree, str(axis), value, layers, path)) for axis, value in table.items()]
    cells: dict[str, tuple[Part, ...]] = {}
    for cell in product(*axes):
        name = ", ".join(value.name for value in cell)
        if name in cells:
            help = "give the values of one axis names of their own: [matrix.NAME] a = { ... }, b = { ... }"
            raise _error(tree, ("matrix",), f"two variants of the matrix are called '{name}'", path, help)
        ordered = sorted(cell, key=lambda value: value.rank)
        said = {str(axis): value.name for axis, value in zip(table, cell, strict=True)}
        words = Part({"axes": said}, layers[-1], ("matrix",))
        cells[name] = (words, *chain.from_iterable(value.parts for value in ordered))
    return cells


def _axis(tree: Tree, axis: str, values: Any, layers: Sequence[TomlSource], path: Path) -> Iterator[_Value]:
    if isinstance(values, Mapping) and values:
        return (_named(tree, axis, key, value, layers, path) for key, value in values.items())
    if isinstance(values, list) and values:
        return (_listed(tree, axis, index, value, layers) for index, value in enumerate(values))
    message = f"axis '{axis}' must be a list of values, or of named tables"
    raise _error(tree, ("matrix", axis), message, path)


def _named(tree: Tree, axis: str, key: str, value: Any, layers: Sequence[TomlSource], path: Path) -> _Value:
    at = ("matrix", axis, key)
    dotted = isinstance(value, Mapping) and value and axis in KEYS and not KEYS & set(value)
    if dotted or not isinstance(value, Mapping):
        message = f"'{key}' must be a table that is laid over the recipe"
        raise _error(tree, at, message, path, _quoted(axis, {key: value}))
    return _Value(key, tuple(named_parts(layers, at, f"'{key}'")))


def _quoted(*keys: Any) -> str:
    """The way out for a dotted key without quotes, which TOML reads as tables within tables."""
    *path, below = keys
    while isinstance(below, Mapping) and len(below) == 1:
        ((key, below),) = below.items()
        path.append(key)
    return f'values of an option are written "{".".join(path)}" = [...], with the quotes'


def _listed(tree: Tree, axis: str, index: int, value: Any, layers: Sequence[TomlSource]) -> _Value:
    origin = tree.origin(("matrix", axis, index))
    assert origin is not None
    source, place = origin[0].source, (*origin[0].path, *origin[1])
    if isinstance(value, str) and value.endswith(".toml"):
        return _Value(Path(value).stem, tuple(base_parts(source, place, layers)))
    parts = tuple(table_parts(nested(axis, value), source, place, layers))
    return _Value(_name(axis, value), parts, axis.count("."))


def _name(axis: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        return str(value["name"])
    return f"{axis.rpartition('.')[2]} {json.dumps(value, default=str)}"


def _error(tree: Tree, at: KeyPath, message: str, path: Path, help: str = EXAMPLE) -> RecipeError:
    problem = Problem(message, path=at, at_value=True, help=[help])
    return RecipeError([tree.located(problem, str(path))])
