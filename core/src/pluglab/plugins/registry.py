"""Components by kind and name. Kinds are open; targets are lazy, so a listing imports no method."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pluglab.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Entry:
    """One registered component: `target` is an object, or 'module:attribute' until it is needed."""

    kind: str
    name: str
    plugin: str
    target: str | Any
    summary: str = ""
    paper: str = ""
    _loaded: list[Any] = field(default_factory=list, repr=False, compare=False)

    @property
    def qualified(self) -> str:
        return f"{self.plugin}/{self.name}"

    def load(self) -> Any:
        """The class or function itself. Raises `UserError` where its module cannot be imported."""
        if not self._loaded:
            self._loaded.append(self._import() if isinstance(self.target, str) else self.target)
        return self._loaded[0]

    def _import(self) -> Any:
        module, _, attribute = str(self.target).partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (Exception, SystemExit) as error:
            raise UserError(
                f"{self.kind} '{self.name}' of plugin '{self.plugin}' cannot be loaded: "
                f"{type(error).__name__}: {error}",
                help=[f"its target is {self.target}; `lab list plugins` shows where the plugin comes from"],
            ) from error

    def documentation(self) -> str:
        return inspect.getdoc(self.load()) or ""


class Registrar:
    """What a plugin's `lab_register` is given: collects entries, which count only if all of them are good."""

    def __init__(self, plugin: str) -> None:
        self.plugin = plugin
        self.entries: list[Entry] = []

    def add(
        self, kind: str, name: str, target: str | Callable[..., Any], *, summary: str = "", paper: str = ""
    ) -> None:
        """Register `target`, 'package.module:Class' or the class itself, as the `kind` called `name`."""
        if not (isinstance(kind, str) and kind.isidentifier()):
            raise ValueError(f"a kind must be an identifier, got {kind!r}")
        if not isinstance(name, str) or not name.replace("-", "_").isidentifier():
            raise ValueError(f"a {kind}'s name must be letters, digits, '_' or '-', got {name!r}")
        if isinstance(target, str) and not all(target.partition(":")):
            raise ValueError(f"the target of {kind} '{name}' must be 'package.module:Class', not {target!r}")
        if any((entry.kind, entry.name) == (kind, name) for entry in self.entries):
            raise ValueError(f"{kind} '{name}' is registered twice")
        self.entries.append(Entry(kind, name, self.plugin, target, summary, paper))


class Registry:
    """Every component that the loaded plugins have registered."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries: list[Entry] = list(entries)

    def extend(self, entries: Iterable[Entry]) -> None:
        self._entries.extend(entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def kinds(self) -> list[str]:
        return sorted({entry.kind for entry in self._entries})

    def entries(self, kind: str) -> list[Entry]:
        return sorted((e for e in self._entries if e.kind == kind), key=lambda e: (e.name, e.plugin))

    def names(self, kind: str) -> list[str]:
        """Names that a recipe may use: short where unique, qualified where two plugins provide one."""
        entries = self.entries(kind)
        short = [e.name for e in entries]
        return [e.name if short.count(e.name) == 1 else e.qualified for e in entries]

    def find(self, kind: str, name: str) -> Entry:
        """The one entry called `name` ('dcgan' or 'gan/dcgan'). Raises `UserError` for none or several."""
        found = [e for e in self.entries(kind) if name in (e.name, e.qualified)]
        if len(found) == 1:
            return found[0]
        if found:
            ways = " or ".join(f"'{e.qualified}'" for e in found)
            raise UserError(f"{kind} '{name}' is provided by {len(found)} plugins", help=[f"write {ways}"])
        raise UserError(f"unknown {kind} '{name}'", help=self._ways_out(kind, name))

    def _ways_out(self, kind: str, name: str) -> list[str]:
        known = self.names(kind)
        if not known:
            return [f"no plugin provides any {kind}; `lab list plugins` shows what is loaded"]
        guess = did_you_mean(name, [*known, *(e.qualified for e in self.entries(kind))])
        return [*([guess] if guess else []), f"known: {', '.join(known)}"]
