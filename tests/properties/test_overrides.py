"""`--set KEY=VALUE`: one value at one key, or a sentence about what is wrong with it."""

from __future__ import annotations

from typing import Any

import tomli_w
from hypothesis import example, given
from hypothesis import strategies as st

from pluglab.errors import UserError
from pluglab.recipe.layers import nested, read_override
from tests.properties.values import BARE, values

DOTTED = st.lists(BARE, min_size=1, max_size=4).map(".".join)
PIECES = [*"ab=.[]{}'\"#\n\r\t ,1-", "\na=1", "a = 1", "\n[a]", '"""', "'''", "true", "é😀", "\x00", "\x7f"]
ANY = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)


def written(value: Any) -> str:
    """A value as TOML in one line."""
    if isinstance(value, dict):
        keys = (tomli_w.dumps({key: 1}).rpartition(" = ")[0] for key in value)
        return "{" + ", ".join(f"{k} = {written(v)}" for k, v in zip(keys, value.values(), strict=True)) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return tomli_w.dumps({"x": value}).removeprefix("x = ").rstrip("\n")


@given(DOTTED, values(), st.sampled_from(["", " ", "  "]))
def test_a_value_is_what_toml_says(key: str, value: Any, space: str) -> None:
    assert read_override(f"{key}{space}={space}{written(value)}{space}").data == nested(key, value)


@given(DOTTED, st.text("abcxyz/._~:- é😀", min_size=1).filter(lambda text: text.strip()))
def test_a_bare_word_is_a_text(key: str, word: str) -> None:
    found = read_override(f"{key}={word}").data
    words = word.strip()
    assert found == nested(key, words) or not isinstance(_leaf(found, key), str)


def _leaf(table: Any, key: str) -> Any:
    for part in key.split("."):
        table = table[part]
    return table


@example("x=" + "[" * 5000)
@example("#x=1")
@given(st.one_of(ANY, st.tuples(DOTTED, ANY).map("=".join)))
def test_it_says_one_thing_or_is_refused(text: str) -> None:
    """No text sets anything but the key before its first '='."""
    try:
        source = read_override(text)
    except UserError as error:
        str(error)
        return
    key = text.partition("=")[0]
    table: Any = source.data
    for part in _parts(key):
        assert list(table) == [part], (text, source.data)
        table = table[part]


def _parts(key: str) -> list[str]:
    table: Any = read_override(f"{key}=1").data
    parts = []
    while isinstance(table, dict):
        (part,) = table
        parts.append(part)
        table = table[part]
    return parts


@given(DOTTED, values(leaves=3))
def test_it_stands_in_its_own_text(key: str, value: Any) -> None:
    source = read_override(f"{key}={written(value)}")
    span = source.locate(tuple(key.split(".")))
    assert span is not None
    assert span.text[span.column - 1 :].startswith(key.rpartition(".")[2])
