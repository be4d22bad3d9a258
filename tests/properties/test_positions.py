"""Positions of keys in TOML: what stands there is the key, or the value, that was asked for."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from pluglab.errors import UserError
from pluglab.recipe.layers import value_at
from pluglab.recipe.positions import TomlSource, parse_toml
from tests.properties.values import TEXTS, leaves, tables

SPACE = st.sampled_from(["", " ", "  ", "\t"])
REMARK = st.sampled_from(["", "  # a [remark] = {1, 2}", "#", " # it's \"\"\" odd '''"])
GAP = st.sampled_from(["", " ", "\n", "  # [a, remark] = }\n", "\n\n  "])
BARE = st.text("abcA1_-", min_size=1, max_size=3)


def basic(text: str) -> str:
    """A TOML string in double quotes."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


@st.composite
def key(draw: st.DrawFn) -> str:
    text = draw(st.one_of(BARE, TEXTS))
    quotes = ["\"'"[0]]
    if text and all(c.isascii() and (c.isalnum() or c in "_-") for c in text):
        quotes.append("")
    if "'" not in text and text.isprintable():
        quotes.append("'")
    sign = draw(st.sampled_from(quotes))
    return {"": text, "'": f"'{text}'", '"': basic(text)}[sign]


@st.composite
def text_value(draw: st.DrawFn) -> str:
    text = draw(TEXTS)
    forms = [basic(text), f'"""\n{basic(text)[1:-1]}"""', f'"""a"" {basic(text)[1:-1]}\nb"""""']
    if text.isprintable() and "'" not in text:
        forms += [f"'{text}'", f"'''{text}\n ]=#'''''"]
    return draw(st.sampled_from(forms))


SIMPLE = st.one_of(
    st.integers(-100, 100).map(str),
    st.sampled_from(["true", "1e3", "-0.5", "inf", "nan", "0x1F", "1_000", "2026-11-26", "07:32:00.5"]),
    st.sampled_from(["1979-05-27T07:32:00Z", "1979-05-27 07:32:00"]),
    text_value(),
)


@st.composite
def value(draw: st.DrawFn, depth: int = 2) -> str:
    kind = draw(st.sampled_from(["simple", "list", "table"])) if depth else "simple"
    if kind == "simple":
        return draw(SIMPLE)
    parts = draw(st.lists(value(depth - 1), max_size=3))
    if kind == "list":
        inner = "".join(draw(GAP) + part + draw(GAP) + "," for part in parts)
        return f"[{inner}{draw(GAP)}]"
    pairs = [f"{draw(SPACE)}k{i}{draw(SPACE)}={draw(SPACE)}{part}" for i, part in enumerate(parts)]
    return "{" + ", ".join(pairs) + " }"


@st.composite
def document(draw: st.DrawFn) -> str:
    """Valid TOML in many styles, or nearly: keys may be there twice."""
    lines = []
    for _ in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(["pair", "pair", "pair", "table", "tables", "blank"]))
        dotted = f"{draw(SPACE)}.{draw(SPACE)}".join(draw(st.lists(key(), min_size=1, max_size=3)))
        if kind == "pair":
            line = f"{draw(SPACE)}{dotted}{draw(SPACE)}={draw(SPACE)}{draw(value())}"
        else:
            line = {"table": f"[{dotted}]", "tables": f"[[ {dotted} ]]", "blank": ""}[kind]
        lines.append(line + draw(REMARK))
    return draw(st.sampled_from(["\n", "\r\n"])).join(lines)


def parsed(text: str) -> TomlSource | None:
    try:
        return parse_toml(text, "made.toml")
    except UserError:
        return None


def written_keys(source: TomlSource, path: tuple[str | int, ...]) -> list[str]:
    span = source.locate(path)
    assert span is not None
    line = source.text.split("\n")[span.line - 1]
    shown = line[span.column - 1 : span.column - 1 + span.length]
    return [str(name) for name in tomllib.loads(f"{shown} = 1")]


def check(source: TomlSource) -> None:
    for path, found in leaves(source.data):
        if found is None:
            continue
        if not isinstance(path[-1], int):
            assert written_keys(source, path) == [path[-1]], path
        span = source.locate(path, value=True)
        assert span is not None
        begin, end = source._values[path]
        assert repr(tomllib.loads(f"x = {source.text[begin:end]}")["x"]) == repr(found), path
        assert source.text.count("\n", 0, begin) + 1 == span.line
        assert 1 <= span.column <= span.column + span.length <= len(span.text) + 1


@given(document())
def test_keys_and_values_stand_where_they_are_said_to(text: str) -> None:
    source = parsed(text)
    if source is not None:
        check(source)


@given(tables())
def test_so_they_do_in_what_a_program_writes(table: dict[str, Any]) -> None:
    source = parse_toml(tomli_w.dumps(table), "made.toml")
    assert source.data == table
    check(source)


@given(document(), st.data())
def test_what_is_no_toml_is_a_problem_with_its_place(text: str, data: st.DataObject) -> None:
    """One character more, less or other than in a document: it is read, or refused, and never falls over."""
    at = data.draw(st.integers(0, len(text)))
    new = data.draw(st.sampled_from(["", *"[]{}=.,\"'#\n\\", "\x00", "é", "\ufeff", "\r", "\x1f", "]]"]))
    mutated = text[:at] + new + text[at + data.draw(st.integers(0, 2)) :]
    try:
        source = parse_toml(mutated, "made.toml")
    except UserError as error:
        str(error)
        return
    assert source.data == tomllib.loads(mutated) or "nan" in mutated
    check(source)
    assert value_at(source.data, ()) is source.data
