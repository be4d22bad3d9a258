"""Values as recipes hold them, made up by hypothesis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

BARE = st.text("abcxyz019_-", min_size=1, max_size=4)
KEYS = st.one_of(
    st.sampled_from(["a", "b", "c", "name", "0", "1"]),
    BARE,
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=4),
)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=8)
SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), TEXTS
)


def values(keys: st.SearchStrategy[str] = KEYS, leaves: int = 12) -> st.SearchStrategy[Any]:
    """Scalars, lists and tables in each other."""

    def within(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=4))

    return st.recursive(SCALARS, within, max_leaves=leaves)


def tables(keys: st.SearchStrategy[str] = KEYS, leaves: int = 12) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(keys, values(keys, leaves), max_size=5)


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], Any]]:
    """(path, value) of everything in a table or list that is neither."""
    if isinstance(value, Mapping):
        return [leaf for key, item in value.items() for leaf in leaves(item, (*path, key))]
    if isinstance(value, list):
        return [leaf for key, item in enumerate(value) for leaf in leaves(item, (*path, key))]
    return [(path, value)]
