"""Where keys and values stand in TOML, in whatever way they are written."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from pluglab.errors import RecipeError, Span, UserError
from pluglab.recipe.positions import KeyPath, TomlSource, parse_toml, read_toml


def words(span: Span | None) -> str:
    """The text that the caret would underline."""
    assert span is not None
    return span.text[span.column - 1 : span.column - 1 + span.length]


def places(text: str) -> dict[KeyPath, tuple[int, str, str]]:
    """Line, underlined key and underlined value of every path."""
    source = parse_toml(text, "t.toml")
    found = {}
    for path in paths(source.data):
        key = source.locate(path)
        assert key is not None
        found[path] = (key.line, words(key), words(source.locate(path, value=True)))
    return found


def paths(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    if path:
        yield path
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, item in children:
        yield from paths(item, (*path, key))


def test_plain_keys_and_values() -> None:
    found = places('a = 1\n  b = "x" # c\n[t]\nc = 2.5 # d\nd=true\n')
    assert found == {
        ("a",): (1, "a", "1"),
        ("b",): (2, "b", '"x"'),
        ("t",): (3, "t", "t"),
        ("t", "c"): (4, "c", "2.5"),
        ("t", "d"): (5, "d", "true"),
    }


def test_each_part_of_a_dotted_key_is_underlined_alone() -> None:
    found = places("""a.b."c d".'e.f' = 1\n[t . u."v w"]\nx.y = 2\n""")
    assert found["a", "b"] == (1, "b", "b")
    assert found["a", "b", "c d", "e.f"] == (1, "'e.f'", "1")
    assert found["t", "u", "v w"] == (2, '"v w"', '"v w"')
    assert found["t", "u", "v w", "x", "y"] == (3, "y", "2")


def test_inline_tables_and_arrays_within_each_other() -> None:
    found = places("in = { x = 1, y.z = { w = [ 1, \"a,b\", { k = 'v' } ] } }\n")
    assert found["in", "y", "z"] == (1, "z", "{ w = [ 1, \"a,b\", { k = 'v' } ] }")
    assert found["in", "y", "z", "w", 1] == (1, '"a,b"', '"a,b"')
    assert found["in", "y", "z", "w", 2, "k"] == (1, "k", "'v'")


def test_arrays_of_tables_count_within_their_parent() -> None:
    text = (
        '[[arr]]\nname = "one"\n[[arr.sub]]\nn = 1\n[[arr.sub]]\nn = 2\n'
        '[[arr]]\nname = "two"\n[arr.tbl]\nk = 3\n[[arr.sub]]\nn = 3\n'
    )
    found = places(text)
    assert found["arr", 0, "name"][0] == 2
    assert found["arr", 0, "sub", 1, "n"][0] == 6
    assert found["arr", 1, "name"][0] == 8
    assert found["arr", 1, "tbl", "k"][0] == 10
    assert found["arr", 1, "sub", 0, "n"][0] == 12
    assert found["arr", 1] == (7, "arr", "arr")


def test_arrays_over_several_lines_with_comments_that_mislead() -> None:
    found = places(
        'm = [\n  1, # one ] [x]\n  "two # [", # , "\n\n  [3,\n 4],\n  { name = "x" },\n]\nafter = 1\n'
    )
    assert found["m", 0] == (2, "1", "1")
    assert found["m", 1] == (3, '"two # ["', '"two # ["')
    assert found["m", 2, 1] == (6, "4", "4")
    assert found["m", 3, "name"] == (7, "name", '"x"')
    assert found["after",] == (9, "after", "1")


@pytest.mark.parametrize(
    "value",
    [
        '"""\na = 9\n[b]\n\\""" # no\nend"""',
        "'''\n[x]\ny = \"'''",
        '""""quoted""""',
        '"""""two"""""',
        "''''q''''",
        '"""ends in a backslash \\\\"""',
        '"a \\" b # [ = "',
        "'C:\\path\\'",
        '""',
        "''",
        '""""""',
        "1979-05-27 07:32:00Z",
        "[]",
        "{}",
        "[[[]], [{}]]",
        "-inf",
        "0xdead_beef",
    ],
)
def test_the_key_after_any_value_is_found(value: str) -> None:
    text = f"first = {value}\nsecond = 2\n"
    found = places(text)
    assert found["first",][0] == 1
    assert found["second",] == (text.count("\n"), "second", "2")


@pytest.mark.parametrize("key", ['"a\\"=["', "'a = 1 # ['", '"\\u00e9"', '"ключ"', '""', "bare-_1", "1234"])
def test_keys_however_quoted(key: str) -> None:
    found = places(f"{key} = 1\n[{key}2]\nx = 3\n" if key.isalnum() else f"{key} = 1\n")
    assert next(iter(found.values())) == (1, key, "1")


def test_windows_line_ends_and_tabs() -> None:
    source = parse_toml("a = 1\r\nb = [\r\n\t1,\r\n]\r\n[c]\r\n\td = 2\t# x\r\n", "t.toml")
    span = source.locate(("c", "d"))
    assert span == Span("t.toml", 6, 2, 1, "\td = 2\t# x")
    assert span.render("here") == [" --> t.toml:6", "  |", "6 | \td = 2\t# x", "  | \t^ here"]
    assert words(source.locate(("b", 0))) == "1"


def test_what_is_not_there_is_placed_at_the_nearest_table() -> None:
    source = parse_toml("[data.train]\nname = 1\n[[evaluate]]\n[[evaluate]]\nx = 1\n", "t.toml")
    assert words(source.locate(("data", "train", "size"))) == "train"
    assert words(source.locate(("data", "target"))) == "data"
    span = source.locate(("evaluate", 1, "y"))
    assert span is not None and span.line == 4
    assert source.locate(("nothing",)) is None
    assert source.locate(()) is None


def test_a_long_value_is_underlined_to_the_end_of_its_first_line() -> None:
    source = parse_toml('x = """one\ntwo"""\n', "t.toml")
    assert words(source.locate(("x",), value=True)) == '"""one'


# Documents by chance --------------------------------------------------------------------------------

KEYS = [*"abc", "name", "a-b", "with space", "dot.ted", 'quo"te', "brack[et", "ha#sh", "é", "", "0", "eq=ual"]


def a_value(rng: random.Random, depth: int) -> Any:
    kinds = ["int", "float", "bool", "text", *(["list", "table", "tables"] if depth else [])]
    match rng.choice(kinds):
        case "int":
            return rng.randint(-99, 10**6)
        case "float":
            return rng.uniform(-1, 1)
        case "bool":
            return rng.random() < 0.5
        case "text":
            return "".join(
                rng.choices([*string.printable, "é", "日", '"', "#", "[", "]", "="], k=rng.randint(0, 9))
            )
        case "list":
            return [a_value(rng, depth - 1) for _ in range(rng.randint(0, 4))]
        case "tables":
            return [a_table(rng, depth - 1) for _ in range(rng.randint(1, 3))]
        case _:
            return a_table(rng, depth - 1)


def a_table(rng: random.Random, depth: int) -> dict[str, Any]:
    return {key: a_value(rng, depth) for key in rng.sample(KEYS, rng.randint(0, 5))}


def spelt(key: str | int) -> set[str]:
    """The ways in which a writer may put a key."""
    return {str(key), tomli_w.dumps({str(key): 0}).partition(" = ")[0]}


@pytest.mark.parametrize("multiline", [False, True])
def test_every_key_of_any_document_is_found(multiline: bool) -> None:
    for seed in range(300):
        table = a_table(random.Random(seed), 4)
        text = tomli_w.dumps(table, multiline_strings=multiline)
        source = parse_toml(text, "t.toml")
        for path in paths(source.data):
            check(source, path)


def check(source: TomlSource, path: KeyPath) -> None:
    span = source.locate(path)
    assert span is not None, path
    assert span.text == source.text.split("\n")[span.line - 1].rstrip("\r")
    if isinstance(path[-1], str):
        assert words(span) in spelt(path[-1]), (path, span)
    value = source.data
    for key in path:
        value = value[key]
    if isinstance(value, (bool, int, float)):
        found = words(source.locate(path, value=True))
        assert parse_toml(f"x = {found}", "x").data == {"x": value}


# Reading files ---------------------------------------------------------------------------------------


def message(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_toml(path)
    return caught.value.render()


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "good.toml").write_text("a = 1")
    (tmp_path / "latin.toml").write_bytes(b"a = '\xe9'")
    (tmp_path / "bad.toml").write_text("a = 1\nb = \n")
    assert message(tmp_path / "god.toml") == (
        f"error: there is no recipe {tmp_path}/god.toml\n  = did you mean {tmp_path}/good.toml?"
    )
    assert message(tmp_path).startswith(f"error: {tmp_path} is a directory, not a recipe\n  = recipes in")
    assert message(tmp_path / "latin.toml") == f"error: {tmp_path}/latin.toml is not UTF-8 text (byte 5)"
    assert f" --> {tmp_path}/bad.toml:2\n" in message(tmp_path / "bad.toml")


@pytest.mark.parametrize(
    ("text", "line", "column", "note"),
    [
        ("a = 1\nb = toy # x", 2, 5, 'text needs quotes: "toy"'),
        ("a = [1, two]", 1, 9, 'text needs quotes: "two"'),
        ("a: 1", 1, 2, ""),
        ("a = 1\na = 2", 2, 6, ""),
        ("[a", 1, 3, ""),
        ('a = "x', 1, 7, ""),
        ("a = [1,\n2", 2, 2, ""),
    ],
)
def test_syntax_errors_have_a_place(text: str, line: int, column: int, note: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_toml(text, "t.toml")
    (problem,) = caught.value.problems
    assert isinstance(problem.where, Span)
    assert (problem.where.line, problem.where.column, problem.note) == (line, column, note)


def test_a_byte_order_mark_is_no_part_of_a_recipe(tmp_path: Path) -> None:
    """Editors of Windows begin a file with one; places in the file stay true."""
    path = tmp_path / "r.toml"
    path.write_bytes(b"\xef\xbb\xbfsteps = 4\n")
    assert read_toml(path).data == {"steps": 4}
    path.write_bytes(b"\xef\xbb\xbfsteps = = 4\n")
    with pytest.raises(RecipeError) as caught:
        read_toml(path)
    assert "1 | steps = = 4\n  |         ^" in caught.value.render()
