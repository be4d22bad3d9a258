"""Components by kind and name. Kinds are declared; targets are lazy, so a listing imports no method."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pluglab.capabilities import is_capability
from pluglab.ctrl_c import STRAY, let_ctrl_c_pass
from pluglab.errors import UserError, did_you_mean
from pluglab.plugins.kinds import Kind, imported


@dataclass(eq=False)
class Entry:
    """One registered component: `target` is an object, or 'module:attribute' until it is needed.

    `where` is the line that registered it. `can` are the capabilities that a trainer is said to have.
    """

    kind: str
    name: str
    plugin: str
    target: str | Any
    summary: str = ""
    paper: str = ""
    can: tuple[type, ...] = ()
    where: str = ""
    registry: Registry | None = field(default=None, repr=False)
    _loaded: list[Any] = field(default_factory=list, repr=False)

    @property
    def qualified(self) -> str:
        return f"{self.plugin}/{self.name}"

    @property
    def spec(self) -> Kind:
        """The entry's kind; one without a protocol where no plugin has declared it."""
        found = self.registry.kind(self.kind) if self.registry else None
        return found or Kind(self.kind, self.plugin)

    def load(self) -> Any:
        """The class or function itself. Raises `UserError` where it cannot be imported, or is not what
        components of its kind must be."""
        if not self._loaded:
            from pluglab.plugins.contracts import check_target

            target = self._import() if isinstance(self.target, str) else self.target
            who = f"{self.kind} '{self.name}' of plugin '{self.plugin}'"
            check_target(who, self.spec, target, self.can, self.where)
            self._loaded.append(target)
        return self._loaded[0]

    def _import(self) -> Any:
        try:
            return imported(str(self.target))
        except STRAY as error:
            let_ctrl_c_pass(error)
            raise UserError(
                f"{self.kind} '{self.name}' of plugin '{self.plugin}' cannot be loaded: "
                f"{type(error).__name__}: {error}",
                help=[
                    f"its target is {self.target}",
                    "`lab list plugins` shows where the plugin comes from",
                ],
                where=self.where,
            ) from error

    def documentation(self) -> str:
        return inspect.getdoc(self.load()) or ""


class Registrar:
    """What a plugin's `lab_register` is given: collects entries, which count only if all of them are good."""

    def __init__(self, plugin: str) -> None:
        self.plugin = plugin
        self.entries: list[Entry] = []
        self.kinds: list[Kind] = []

    def kind(
        self,
        name: str,
        *,
        protocol: str | type | None = None,
        summary: str = "",
        function: bool = False,
        signature_options: bool = False,
        checks: str = "",
    ) -> None:
        """Declare a kind of component, such as 'encoder': any plugin may then add components of it.

        `protocol` ('package.module:Encoder') is what they are checked against when they are first used; the
        other parameters are explained at `Kind`.
        """
        _check_kind_name(name)
        self.kinds.append(Kind(name, self.plugin, protocol, summary, function, signature_options, checks))

    def add(
        self,
        kind: str,
        name: str,
        target: str | Callable[..., Any],
        *,
        summary: str = "",
        paper: str = "",
        can: Sequence[type] = (),
    ) -> None:
        """Register `target`, 'package.module:Class' or the class itself, as the `kind` called `name`.

        `can`: the capabilities of a trainer (pluglab.capabilities), so that `lab list trainers` knows them
        without importing it. When it is first used, it must have them.
        """
        _check_kind_name(kind)
        if not isinstance(name, str) or not name.replace("-", "_").isidentifier():
            raise ValueError(f"a {kind}'s name must be letters, digits, '_' or '-', got {name!r}")
        if isinstance(target, str) and not all(target.partition(":")):
            raise ValueError(f"the target of {kind} '{name}' must be 'package.module:Class', not {target!r}")
        if not all(map(is_capability, can)):
            raise ValueError(f"can= of {kind} '{name}' must be capabilities, such as Classifies, not {can!r}")
        if any((entry.kind, entry.name) == (kind, name) for entry in self.entries):
            raise ValueError(f"{kind} '{name}' is registered twice")
        caller = sys._getframe(1)
        where = f"{caller.f_code.co_filename}:{caller.f_lineno}"
        self.entries.append(Entry(kind, name, self.plugin, target, summary, paper, tuple(can), where))


def _check_kind_name(kind: object) -> None:
    if not (isinstance(kind, str) and kind.isidentifier()):
        raise ValueError(f"a kind must be an identifier, got {kind!r}")


class Registry:
    """Every kind and component that the loaded plugins have registered."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries: list[Entry] = []
        self._kinds: dict[str, Kind] = {}
        self.extend(entries)

    def extend(self, entries: Iterable[Entry], kinds: Iterable[Kind] = ()) -> None:
        for kind in kinds:
            self._kinds.setdefault(kind.name, kind)
        for entry in entries:
            entry.registry = self
            self._entries.append(entry)

    def drop(self, plugin: str) -> None:
        """Forget what a plugin has registered."""
        self._entries = [entry for entry in self._entries if entry.plugin != plugin]
        self._kinds = {name: kind for name, kind in self._kinds.items() if kind.plugin != plugin}

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def kinds(self) -> list[Kind]:
        return sorted(self._kinds.values(), key=lambda kind: kind.name)

    def kind(self, name: str) -> Kind | None:
        return self._kinds.get(name)

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
        from pluglab.plugins.known import way_to

        if way := way_to(kind, name):
            return [way]
        known = self.names(kind)
        if kind not in self._kinds and not known:
            kinds = did_you_mean(kind, self._kinds) or "`lab list kinds` shows those that there are"
            return [f"no plugin declares the kind '{kind}'; {kinds}"]
        if not known:
            return [f"no plugin provides any {kind}; `lab list plugins` shows what is loaded"]
        guess = did_you_mean(name, [*known, *(e.qualified for e in self.entries(kind))])
        elsewhere = [e.kind for e in self._entries if e.name == name and e.kind != kind]
        hint = [f"'{name}' is the name of {a(elsewhere[0])}"] if elsewhere else []
        return [*([guess] if guess else []), *hint, f"known: {', '.join(known)}"]


def a(kind: str) -> str:
    """'an encoder', 'a trainer'."""
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def plural(kind: str) -> str:
    """'encoders', 'entries', 'losses'."""
    if kind.endswith("y"):
        return f"{kind[:-1]}ies"
    return f"{kind}es" if kind.endswith("s") else f"{kind}s"
