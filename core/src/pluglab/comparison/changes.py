"""In which options recipes differ, and in nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

NOT_OF_THE_MODEL = frozenset(
    (
        "title",
        "seeds",
        "variants",
        "axes",
        "table",
        "reported",
        "evaluate",
        "run",
        "log_every",
        "checkpoint_every",
    )
)
"""Keys of a recipe that change neither what is trained nor which step is reported."""


def changes_of(recipes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each recipe, its own values of the options that are not the same in all, by their dotted keys.

    None stands for an option that a recipe has not. Where a component is another one, its name stands for the
    options that only one of them knows. A list of components is given by their names where these differ.
    """
    models = [{k: v for k, v in recipe.items() if k not in NOT_OF_THE_MODEL} for recipe in recipes]
    found = dict(_differing(models, ""))
    return [{key: values[i] for key, values in found.items()} for i in range(len(recipes))]


def _differing(values: Sequence[Any], path: str) -> Iterator[tuple[str, list[Any]]]:
    """(dotted key, value of each) of what differs below `path`."""
    first = values[0]
    if all(value == first for value in values):
        return
    if all(value is None or isinstance(value, Mapping) for value in values):
        yield from _differing_tables(values, path)
    elif all(_components(value) for value in values) and len({tuple(_names(v)) for v in values}) == 1:
        for index in range(len(first)):
            yield from _differing([value[index] for value in values], _below(path, index))
    else:
        yield path, [_names(value) if _components(value) else value for value in values]


def _differing_tables(
    tables: Sequence[Mapping[str, Any] | None], path: str
) -> Iterator[tuple[str, list[Any]]]:
    """Of a table that some lack, its first key stands for all that those have not."""
    names = [None if table is None else table.get("name", "") for table in tables]
    keys = list(dict.fromkeys(key for table in tables for key in table or ()))
    for key in keys:
        values = [(table or {}).get(key) for table in tables]
        shared = all(key in (table or ()) for table in tables)
        first = key == "name" or (None in tables and key == keys[0])
        if first or shared or _differ_under_one_name(names, values):
            yield from _differing(values, _below(path, key))


def _differ_under_one_name(names: Sequence[Any], values: Sequence[Any]) -> bool:
    """Whether the values are unlike for one component already, not only because others lack the option."""
    of_name: dict[Any, Any] = {}
    pairs = zip(names, values, strict=True)
    return any(of_name.setdefault(name, value) != value for name, value in pairs)


def _components(value: Any) -> bool:
    """Whether it is a list of components, or of nothing."""
    return isinstance(value, list) and all(isinstance(item, Mapping) and "name" in item for item in value)


def _names(components: Sequence[Mapping[str, Any]]) -> list[str]:
    return [str(item["name"]) for item in components]


def _below(path: str, key: str | int) -> str:
    return f"{path}.{key}" if path else str(key)
