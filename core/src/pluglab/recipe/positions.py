"""TOML with positions: `tomllib` reads the values, a small scanner remembers where each key stands."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pluglab.bounded import read_bounded
from pluglab.errors import KeyPath as KeyPath
from pluglab.errors import Problem, RecipeError, Span, UserError
from pluglab.recipe.installed import installed_recipes

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_DOTTED = re.compile(rf"\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*")
_PART = re.compile(_KEY)
# A multi-line string may end in five quotes, of which two belong to it.
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})|'
    r"'''.*?'''(?:'{0,2})|"
    r'"(?:[^"\\\n]|\\.)*"|'
    r"'[^'\n]*'|"
    r"#[^\n]*",
    re.S,
)
LARGEST = 1 << 20
"""Bytes of a recipe: the longest of ours has 5,000."""
DEEPEST = 40
MOST_VALUES = 5000
SHOWN = 8  # recipes that stand beside one that is not there
_GAP = re.compile(r"(?:[\s,]|#[^\n]*)*")
_BLANKS = re.compile(r"\s*")
_INDENT = re.compile(r"[ \t]*")
_BARE_VALUE = re.compile(r"[^,\]}\n#]*")


@dataclass(frozen=True)
class TomlSource:
    """A parsed TOML file. `locate` finds where a key (or its value) stands, for error messages."""

    name: str
    text: str
    data: dict[str, Any]
    _keys: dict[KeyPath, tuple[int, int]] = field(default_factory=dict)
    _values: dict[KeyPath, tuple[int, int]] = field(default_factory=dict)

    def locate(self, path: KeyPath, *, value: bool = False) -> Span | None:
        """The key at `path`, or its value; else the nearest enclosing table; None for an empty path."""
        if not self._keys:  # asked for the first time, which in most files nobody does
            _Scanner(self).scan()
        for length in range(len(path), 0, -1):
            places = self._values if value and path[:length] in self._values else self._keys
            if path[:length] in places:
                return self._span(*places[path[:length]])
        return None

    def _span(self, start: int, end: int) -> Span:
        return span_at(self.name, self.text, start, end)


def span_at(source: str, text: str, start: int, end: int) -> Span:
    """The span of text[start:end], cut at the end of its first line."""
    line = text.count("\n", 0, start) + 1
    first = text.rfind("\n", 0, start) + 1
    last = text.find("\n", start)
    whole = text[first : last if last >= 0 else len(text)].rstrip("\r")
    return Span(source, line, start - first + 1, min(end - start, len(whole) - (start - first)), whole)


def read_toml(path: Path) -> TomlSource:
    """Read a TOML file. Raises `UserError` or `RecipeError` with the place of a syntax error."""
    try:
        text = read_bounded(path, LARGEST).decode("utf-8-sig")  # Windows editors begin a file with a mark
    except FileNotFoundError:
        raise UserError(f"there is no recipe {path}", help=_neighbors(path)) from None
    except IsADirectoryError:
        raise UserError(f"{path} is a directory, not a recipe", help=_neighbors(path / "x")) from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    return parse_toml(text, str(path))


def _neighbors(path: Path) -> list[str]:
    """The recipe that was meant, by its name there or in recipes/; else some of those that are there."""
    here = sorted(path.parent.glob("*.toml"))
    installed = {name: name for name in installed_recipes()}
    files = installed | {file.stem: str(file) for file in [*Path("recipes").glob("*.toml"), *here]}
    near = get_close_matches(path.stem, files, n=1)
    if near:
        return [f"did you mean {files[near[0]]}?"]
    names = [file.name for file in here[:SHOWN]] + ["..."] * (len(here) > SHOWN)
    listed = f"recipes in {path.parent}: {', '.join(names)}"
    return [listed] if names else ["`lab list recipes` shows what is here"]


def parse_toml(text: str, name: str) -> TomlSource:
    """Parse TOML text; `name` is what error messages call it."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError([_syntax_problem(error, text, name)]) from None
    except RecursionError:
        raise UserError(f"{name} is nested too deeply to be read") from None
    _check_extent(data, name)
    return TomlSource(name, text, data)


def is_key(text: str) -> bool:
    """Whether it is a key, perhaps a dotted one, and nothing more."""
    return _DOTTED.fullmatch(text) is not None


def quoted(text: str) -> str:
    """A text as TOML writes it."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _check_extent(data: dict[str, Any], name: str) -> None:
    """Raises `UserError` for what no recipe can be, before anything looks at it that takes long or recurs."""
    level: list[Any] = [data]
    values = depth = 0
    while level:
        inner = [item.values() if isinstance(item, dict) else item for item in level if _holds(item)]
        level = [item for items in inner for item in items]
        values, depth = values + len(level), depth + bool(inner)
        if depth > DEEPEST:
            raise UserError(f"{name} is nested too deeply: more than {DEEPEST} tables or lists in each other")
        if values > MOST_VALUES:
            raise UserError(f"{name} has more than {MOST_VALUES:,} values; that is no recipe")


def _holds(value: Any) -> bool:
    return isinstance(value, (dict, list))


def _syntax_problem(error: tomllib.TOMLDecodeError, text: str, name: str) -> Problem:
    message, _, place = str(error).partition(" (at ")
    lines = text.splitlines() or [""]
    found = re.match(r"line (\d+), column (\d+)", place)
    line, column = (int(found[1]), int(found[2])) if found else (len(lines), len(lines[-1]) + 1)
    shown = lines[line - 1] if line <= len(lines) else ""
    bare = re.match(r"[A-Za-z_./~][^#,\]}]*", shown[column - 1 :]) if message == "Invalid value" else None
    note = f'text needs quotes: "{bare[0].strip()}"' if bare else ""
    span = Span(name, line, column, len(bare[0].strip()) if bare else 1, shown)
    return Problem(f"not valid TOML: {message[:1].lower()}{message[1:]}", span, note)


class _Scanner:
    """Walks valid TOML statement by statement. Strings and comments are blanked first, so that brackets,
    commas and equals signs inside them cannot mislead."""

    def __init__(self, source: TomlSource) -> None:
        self.source = source
        self.text = source.text
        self.bare = _STRING.sub(lambda m: _blank(m[0]), source.text)
        self.table: KeyPath = ()
        self.counts: dict[KeyPath, int] = {}

    def scan(self) -> None:
        position = 0
        while position < len(self.text):
            position = self._statement(position)

    def _statement(self, start: int) -> int:
        start = _end(_BLANKS, self.text, start)
        if start >= len(self.text):
            return start
        if self.text[start] == "#":
            return self._line_end(start)
        if self.text[start] == "[":
            return self._header(start)
        return self._pair(start, self.table)

    def _line_end(self, start: int) -> int:
        end = self.bare.find("\n", start)
        return len(self.text) if end < 0 else end + 1

    def _header(self, start: int) -> int:
        many = self.text.startswith("[[", start)
        dotted = _DOTTED.match(self.text, start + (2 if many else 1))
        if dotted is None:
            return self._line_end(start)
        path: KeyPath = ()
        for part, place in _parts(dotted):
            if path in self.counts:
                path = (*path, self.counts[path])
            path = (*path, part)
            self.source._keys.setdefault(path, place)
        if many:
            self.counts[path] = self.counts.get(path, -1) + 1
            path = (*path, self.counts[path])
            self.source._keys[path] = place
        self.table = path
        return self._line_end(dotted.end())

    def _pair(self, start: int, table: KeyPath) -> int:
        dotted = _DOTTED.match(self.text, start)
        equals = self.bare.find("=", dotted.end(1)) if dotted else -1
        if dotted is None or equals < 0:
            return self._line_end(start)
        path = table
        for part, place in _parts(dotted):
            path = (*path, part)
            self.source._keys.setdefault(path, place)
        begin = _end(_INDENT, self.text, equals + 1)
        end = self._value(begin, path)
        self.source._values[path] = (begin, end)
        return end

    def _value(self, start: int, path: KeyPath) -> int:
        """Note what is inside the value at `start`; return where it ends."""
        if self.text[start] == "{":
            return self._inline(start, lambda at, _: self._pair(at, path), "}")
        if self.text[start] == "[":
            return self._inline(start, lambda at, i: self._item(at, (*path, i)), "]")
        string = _STRING.match(self.text, start)
        if string and string[0][0] in "\"'":
            return string.end()
        return start + len(self.bare[start : _end(_BARE_VALUE, self.bare, start)].rstrip())

    def _item(self, start: int, path: KeyPath) -> int:
        end = self._value(start, path)
        self.source._keys[path] = self.source._values[path] = (start, end)
        return end

    def _inline(self, start: int, element: Callable[[int, int], int], close: str) -> int:
        position, index = self._skip(start + 1), 0
        while position < len(self.text) and self.text[position] != close:
            position = self._skip(element(position, index))
            index += 1
        return position + 1

    def _skip(self, position: int) -> int:
        """Past blanks, commas and comments."""
        return _end(_GAP, self.text, position)


def _end(pattern: re.Pattern[str], text: str, start: int) -> int:
    """Where a pattern that fits an empty text, too, ends."""
    found = pattern.match(text, start)
    return found.end() if found else start


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _parts(dotted: re.Match[str]) -> list[tuple[str, tuple[int, int]]]:
    """The keys of `a."b c".d`, each with where it stands."""
    found = list(_PART.finditer(dotted.string, *dotted.span(1)))
    loaded = tomllib.loads("\n".join(f"k{i} = {_quoted(part[0])}" for i, part in enumerate(found)))
    return list(zip(loaded.values(), (part.span() for part in found), strict=True))


def _quoted(part: str) -> str:
    return part if part[0] in "\"'" else f'"{part}"'
