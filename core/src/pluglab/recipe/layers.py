"""The layers of a recipe: what it extends, the file, a variant, `--set`; merged, each value with its origin.

Each layer overlays the one before it: tables merge, everything else is replaced.
"""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pluglab.errors import Problem, RecipeError, Span, UserError
from pluglab.recipe.installed import installed_recipe
from pluglab.recipe.positions import KeyPath, TomlSource, is_key, parse_toml, quoted, read_toml

SHARED = ("run", "title", "table")  # what the runs of an experiment have in common


@dataclass(frozen=True)
class Origin:
    """Where a value was written: a path in a file or in a `--set`."""

    source: TomlSource
    path: KeyPath

    def span(self, rest: KeyPath = (), *, value: bool = False) -> Span | None:
        return self.source.locate((*self.path, *rest), value=value)

    def words(self, rest: KeyPath = ()) -> str:
        """'file:line' of what lies at `rest` below; a `--set` has no lines."""
        span = self.span(rest)
        is_file = span is not None and not self.source.name.startswith("--set")
        return f"{self.source.name}:{span.line}" if is_file and span else self.source.name


@dataclass
class Tree:
    """Merged layers. `inherited`: options that were written for a component which a later layer replaced.

    They count where the new component has them too, and are dropped where it has not.
    """

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, Origin] = field(default_factory=dict)
    inherited: set[KeyPath] = field(default_factory=set)

    def copy(self) -> Tree:
        return Tree(copy.deepcopy(self.data), dict(self.origins), set(self.inherited))

    def overlay(self, table: Mapping[str, Any], source: TomlSource, prefix: KeyPath = ()) -> None:
        """Put `table`, which stands at `prefix` in `source`, on top."""
        self._merge(self.data, table, (), Origin(source, prefix))

    def _merge(self, under: dict[str, Any], over: Mapping[str, Any], path: KeyPath, origin: Origin) -> None:
        if "name" in over and under.get("name", over["name"]) != over["name"]:
            self.inherited |= {(*path, key) for key in under if key != "name"}
        for key, value in over.items():
            here = (*path, key)
            at = Origin(origin.source, (*origin.path, key))
            self.inherited.discard(here)
            old = under.get(key)
            under[key] = self._merged(old, value, here, at)
            if not _changes_items(old, value):
                self.origins[here] = at

    def _merged(self, old: Any, new: Any, path: KeyPath, origin: Origin) -> Any:
        if not isinstance(new, Mapping):
            if isinstance(old, (Mapping, list)):
                self._forget_below(path)
            return copy.deepcopy(new)
        if _changes_items(old, new):
            return self._merged_items(old, new, path, origin)
        table = {"name": old} if isinstance(old, str) else dict(old) if isinstance(old, Mapping) else {}
        if isinstance(old, str) and path in self.origins:
            self.origins[(*path, "name")] = self.origins[path]
        self._merge(table, new, path, origin)
        return table

    def _merged_items(self, old: list[Any], new: Mapping[str, Any], path: KeyPath, origin: Origin) -> Any:
        items = list(old)
        for key, value in new.items():
            at = Origin(origin.source, (*origin.path, key))
            if int(key) >= len(items):
                name = ".".join(map(str, path))
                message = f"'{name}' has no item {key}: it has {len(items)}, counted from 0"
                raise RecipeError([Problem(message, at.span())])
            here = (*path, int(key))
            found = self.origin(here)
            if found:
                self.origins[here] = Origin(found[0].source, (*found[0].path, *found[1]))
            items[int(key)] = self._merged(items[int(key)], value, here, at)
            if not isinstance(value, Mapping):
                self.origins[here] = at
        return items

    def _forget_below(self, path: KeyPath) -> None:
        for known in [p for p in self.origins if len(p) > len(path) and p[: len(path)] == path]:
            del self.origins[known]

    def origin(self, path: KeyPath) -> tuple[Origin, KeyPath] | None:
        """The origin of the nearest key at or above `path`, and what of the path is left below it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]], path[length:]
        return None

    def located(self, problem: Problem, fallback: str) -> Problem:
        """The problem with its place in the text."""
        found = self.origin(problem.path)
        where = found[0].span(found[1], value=problem.at_value) if found else None
        return replace(problem, where=where or fallback)


def _changes_items(old: Any, new: Any) -> bool:
    """Whether a table is laid over a list, its keys being places in the list."""
    return isinstance(old, list) and isinstance(new, Mapping) and bool(new) and all(k.isdigit() for k in new)


def value_at(table: Any, path: KeyPath) -> Any:
    """What stands at `path`; None where nothing does."""
    for key in path:
        try:
            table = table[key]
        except (KeyError, IndexError, TypeError):
            return None
    return table


def nested(key: str, value: Any) -> dict[str, Any]:
    """'trainer.lr' and 0.1 as {trainer: {lr: 0.1}}."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


def paths_of(table: Mapping[str, Any], path: KeyPath = ()) -> Iterator[KeyPath]:
    """The path of every value that is not a table."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from paths_of(value, (*path, key))
        else:
            yield (*path, key)


def leaves_of(
    value: Any, words: Callable[[KeyPath], str], path: KeyPath = ()
) -> Iterator[tuple[str, Any, str]]:
    """(dotted key, value, words of its path) of every value that holds no table."""
    children: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, Mapping):
        children = value.items()
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        children = enumerate(value)
    else:
        yield ".".join(map(str, path)), value, words(path)
    for key, item in children:
        yield from leaves_of(item, words, (*path, key))


def read_layers(path: Path, seen: tuple[Path, ...] = ()) -> Iterator[TomlSource]:
    """The files to overlay in order: what the recipe extends first, then the recipe."""
    source = read_toml(path)
    yield from read_bases(source, ("extends",), (*seen, path))
    yield source


def read_bases(source: TomlSource, at: KeyPath, chain: tuple[Path, ...]) -> Iterator[TomlSource]:
    """The files that are named at `at` in `source`, the last file of `chain`, in order: a path or several."""
    for base, place in _bases(source, at):
        span = source.locate(place, value=True)
        file = chain[-1].parent / base
        if not is_file(file):
            file = installed_recipe(base) or file
        if not is_file(file):
            help = ["the path is relative to the recipe that extends it, or the name of an installed one"]
            raise RecipeError([Problem(f"there is no recipe '{base}' to extend", span, help=help)])
        if file.resolve() in [known.resolve() for known in chain]:
            help = [" -> ".join(str(known) for known in (*chain, file))]
            raise RecipeError([Problem(f"{file} extends itself", span, help=help)])
        yield from read_layers(file, chain)


def is_file(path: Path) -> bool:
    """Whether there is such a file; a name that no file can have is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def _bases(source: TomlSource, at: KeyPath) -> list[tuple[str, KeyPath]]:
    """Each recipe that is named at `at`, and where."""
    named = value_at(source.data, at)
    if named is None:
        return []
    if isinstance(named, str):
        return [(named, at)]
    if not isinstance(named, list) or not all(isinstance(base, str) for base in named):
        span = source.locate(at, value=True)
        raise RecipeError([Problem("'extends' must be the path of a recipe, or a list of paths", span)])
    return [(base, (*at, index)) for index, base in enumerate(named)]


@dataclass(frozen=True)
class Part:
    """A table that stands at `place` in `source`."""

    table: Mapping[str, Any]
    source: TomlSource
    place: KeyPath = ()

    def without(self, *keys: str) -> Part:
        return replace(self, table={key: value for key, value in self.table.items() if key not in keys})


def named_parts(layers: Sequence[TomlSource], place: KeyPath, name: str) -> Iterator[Part]:
    """What a variant, or a value of a matrix, lays over the recipe: its own tables at that place in these
    layers, before each what it extends. `name` is what a person knows it by."""
    for source in layers:
        table = value_at(source.data, place)
        if table is None:
            continue
        if not isinstance(table, Mapping):
            span = source.locate(place, value=True)
            raise RecipeError([Problem(f"{name} must be a table", span)])
        yield from table_parts(table, source, place, layers)


def table_parts(
    table: Mapping[str, Any], source: TomlSource, place: KeyPath, layers: Sequence[TomlSource]
) -> Iterator[Part]:
    """A table that is laid over a recipe of these layers, and before it what it extends."""
    yield from base_parts(source, (*place, "extends"), layers)
    _check_own(table, source, place)
    yield Part(table, source, place).without("extends")


def base_parts(source: TomlSource, at: KeyPath, layers: Sequence[TomlSource]) -> Iterator[Part]:
    """The files that are named at `at`, to be laid over a recipe of these layers.

    Of such a file neither its variants count, nor what it extends if the recipe does too.
    """
    known = {Path(layer.name).resolve() for layer in layers}
    for base in read_bases(source, at, (Path(source.name),)):
        if Path(base.name).resolve() not in known:
            yield Part(base.data, base).without("extends", "variants", "matrix", *SHARED)


def _check_own(table: Mapping[str, Any], source: TomlSource, place: KeyPath) -> None:
    """A variant has no machine, title or table of its own: the runs of an experiment share them."""
    spans = {key: source.locate((*place, key)) for key in table if key in SHARED}
    help = ["write it outside the variants"]
    if spans:
        message = "'{}' is the same for all variants"
        raise RecipeError([Problem(message.format(key), span, help=help) for key, span in spans.items()])


def read_override(text: str) -> TomlSource:
    """`trainer.lr=3e-4` as a TOML document of one key; what is no TOML value counts as a text."""
    key, equals, value = (part.strip() for part in text.partition("="))
    problem = UserError(
        f"--set {text}: write key=value", help=["for example --set trainer.optimizer.lr=3e-4"]
    )
    if not equals or not key:
        raise problem
    source = parse_toml(f"{key} = {value if _is_value(value) else quoted(value)}", f"--set {text}")
    if not is_key(key):  # several lines, or a remark, may be TOML as well
        raise problem
    return source


def _is_value(text: str) -> bool:
    """Whether it is one value of TOML, and nothing more."""
    try:
        return list(tomllib.loads(f"x = {text}")) == ["x"]
    except tomllib.TOMLDecodeError:
        return False
    except RecursionError:  # which whoever reads it will tell of
        return True
