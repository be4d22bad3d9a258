"""From the words on the command line to what is checked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

from packaging.utils import canonicalize_name as canonical
from pydantic_core import PydanticUndefined

from pluglab.components import Component, config_class
from pluglab.conformance import GROUP, Entry, Plugins, Registry, load_plugins, make, place_in, read_override
from pluglab.errors import UserError, did_you_mean
from pluglab_testing.checking import ANY, CHECKS, Check, NotDone, Result, Subject, checked

T = TypeVar("T")


@dataclass(eq=False)
class Part(Subject):
    """A registered component, told `options` as a recipe would; `shape` is the only one it is tried with."""

    entry: Entry
    registry: Registry
    options: Mapping[str, Any] = field(default_factory=dict)
    shape: tuple[int, int, int] | None = None
    kept: dict[str, Any] = field(default_factory=dict, repr=False)
    """What several checks share."""

    def __post_init__(self) -> None:
        self.kind, self.name, self.plugin = self.entry.kind, self.entry.name, self.entry.plugin

    @property
    def target(self) -> Any:
        """The class or function; None where it cannot be loaded."""
        return self.entry._loaded[0] if self.entry._loaded else None

    @property
    def place(self) -> str:
        return super().place or self.entry.where

    def built(self, *arguments: Any) -> Any:
        """A new one of it, given what components of its kind are given besides their options."""
        return self.component().build(*arguments)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What `make` made when the first check asked for it by this name."""
        if name not in self.kept:
            self.kept[name] = make()
        found: T = self.kept[name]
        return found

    def at(self, method: str) -> str:
        """The line of one of its methods."""
        return place_in(self.target, method)

    def component(self) -> Component:
        """With its options. Raises `NotDone` where one must be given and is not."""
        fields = config_class(self.entry).model_fields
        missing = [
            name
            for name, info in fields.items()
            if name not in self.options and info.get_default(call_default_factory=True) is PydanticUndefined
        ]
        if missing:
            raise NotDone(f"'{missing[0]}' has no default; give it: --set {missing[0]}=...")
        return make(self.registry, self.kind, self.entry.qualified, **self.options)


def of_kind(subject: Subject) -> list[Check]:
    """What is asked of it, in order."""
    import_module("pluglab_testing.kinds")
    if isinstance(subject, Part):
        _know_checks(subject)
    return [*(CHECKS[ANY] if isinstance(subject, Part) else ()), *CHECKS.get(subject.kind, ())]


def _know_checks(part: Part) -> None:
    """Import what the plugin that declares the kind asks of its components."""
    kind = part.registry.kind(part.kind)
    if kind is None or not kind.checks:
        return
    try:
        import_module(kind.checks)
    except ImportError as error:
        raise UserError(f"the checks of the kind '{kind.name}' cannot be imported: {error}") from error


def parts_named(registry: Registry, name: str, kind: str = "") -> list[Part]:
    """The components of that name, plain or with their plugin's, of one kind or of all."""
    found = [e for e in registry if name in (e.name, e.qualified) and kind in ("", e.kind)]
    return [Part(entry, registry) for entry in found]


def parts_of(registry: Registry, plugin: str, kind: str = "") -> list[Part]:
    """All components of a plugin, by kind and name."""
    found = [entry for entry in registry if entry.plugin == plugin and kind in ("", entry.kind)]
    return [Part(entry, registry) for entry in sorted(found, key=lambda entry: (entry.kind, entry.name))]


def find(word: str, kind: str = "", files: Sequence[Path] = ()) -> list[Subject]:
    """What a word of the command line names. Raises `UserError` where that is nothing."""
    path = Path(word)
    if path.suffix == ".py":
        plugins = load_plugins([*files, path])
        return [*_file(plugins, path), *parts_of(plugins.registry, path.stem, kind)]
    plugins = load_plugins(files)
    named: list[Subject] = [*parts_named(plugins.registry, word, kind)]
    if named or word == "core":
        return named or [*parts_of(plugins.registry, word, kind)]
    entries = _installed_as(word) or (_in_folder(path) if (path / "pyproject.toml").is_file() else [])
    if not entries:
        known = {e.name for e in plugins.registry} | {report.name for report in plugins.reports}
        guess = did_you_mean(word, known)
        help = [guess or "`lab list kinds` and `lab list plugins` show what there is; a file ends in .py"]
        raise UserError(f"nothing is called '{word}'", help=help)
    return [
        one
        for entry in entries
        for one in (_package(plugins, entry), *parts_of(plugins.registry, entry.name, kind))
    ]


def _file(plugins: Plugins, path: Path) -> list[Subject]:
    from pluglab_testing.packages import Package

    return [Package(path.name, path.stem, plugins, file=path)]


def _package(plugins: Plugins, entry: EntryPoint) -> Subject:
    from pluglab_testing.packages import Package

    return Package(entry.dist.name if entry.dist else entry.name, entry.name, plugins, entry)


def _installed_as(name: str) -> list[EntryPoint]:
    """The plugins of that name, or of a distribution of that name."""
    found = entry_points(group=GROUP)
    own = {(e.name, e.value): e for e in found if name == e.name}
    of = {(e.name, e.value): e for e in found if e.dist and canonical(e.dist.name) == canonical(name)}
    return list((own or of).values())


def _in_folder(folder: Path) -> list[EntryPoint]:
    """The plugins of the distribution in a folder. Raises `UserError` where it is not installed."""
    project = tomllib.loads((folder / "pyproject.toml").read_text()).get("project", {})
    found = _installed_as(str(project.get("name", "")))
    if not found:
        help = [f"`pip install -e {folder}` does that, for as long as you work on it"]
        raise UserError(f"the distribution in {folder} is no plugin that is installed", help=help)
    return found


def check_all(subjects: Iterable[Subject], sets: Sequence[str] = (), images: str = "") -> Iterator[Result]:
    """Every check of each. `sets` are options as `--set` gives them, `images` is a shape as "1x28x28"."""
    options: dict[str, Any] = {}
    for one in sets:
        _lay_over(options, read_override(one).data)
    for subject in subjects:
        if isinstance(subject, Part):
            subject.options, subject.shape = options, shape_of(images)
        yield from checked(subject, of_kind(subject))


def _lay_over(options: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        below = options.get(key)
        if isinstance(below, dict) and isinstance(value, Mapping):
            _lay_over(below, value)
        else:
            options[key] = value


def shape_of(text: str) -> tuple[int, int, int] | None:
    """'1x28x28' as numbers. Raises `UserError`."""
    if not text:
        return None
    found = re.fullmatch(r"(\d+)x(\d+)x(\d+)", text)
    if not found or not all(map(int, found.groups())):
        raise UserError(f"'{text}' is no shape of images", help=["CHANNELSxHEIGHTxWIDTH, as 1x28x28"])
    channels, height, width = map(int, found.groups())
    return channels, height, width
