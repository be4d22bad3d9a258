"""Tensors within lists, tuples and mappings: what networks take and give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor


def leaves(tree: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Everything in a tree that holds nothing itself, with a name made of its place: 'noise_0'."""
    items: Iterator[tuple[Any, Any]]
    if isinstance(tree, Mapping):
        items = iter(tree.items())
    elif isinstance(tree, (list, tuple)):
        items = iter(zip(getattr(tree, "_fields", range(len(tree))), tree, strict=True))
    else:
        yield name, tree
        return
    for key, value in items:
        yield from leaves(value, f"{name}_{key}" if name else str(key))


def tensors_of(tree: Any, name: str = "") -> dict[str, Tensor]:
    """The tensors in a tree by their names, in order."""
    return {key: value for key, value in leaves(tree, name) if isinstance(value, Tensor)}


def mapped(tree: Any, change: Callable[[Tensor], Any]) -> Any:
    """The tree with every tensor changed, in the order of `tensors_of`."""
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, Mapping):
        return {key: mapped(value, change) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        values = [mapped(value, change) for value in tree]
        return type(tree)(*values) if hasattr(tree, "_fields") else type(tree)(values)
    return tree
