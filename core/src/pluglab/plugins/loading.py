"""Finds and loads plugins, each on its own: a broken one is reported and everything else works."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import os
import re
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pluggy

import pluglab
from pluglab.errors import RunError, UserError, did_you_mean
from pluglab.plugins import hookspecs
from pluglab.plugins.registry import Registrar, Registry

GROUP = "pluglab"
BUILTIN = {
    "optim": "pluglab.training.builtin",
    "metrics_jsonl": "pluglab.storage.history",
    "tensorboard": "pluglab.observers.tensorboard",
    "console": "pluglab.observers.console",
}
Status = Literal["ok", "broken", "incompatible", "disabled"]


@dataclass(frozen=True)
class PluginReport:
    """What became of one plugin. `distribution` is 'pluglab' for built-in ones, a path for a file."""

    name: str
    distribution: str
    version: str
    status: Status
    error: str = ""
    components: int = 0


class _Manager(pluggy.PluginManager):
    """Takes every `lab_` function for a hook, marked or not, so that a plugin need import nothing."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        options = super().parse_hookimpl_opts(plugin, name)
        if options is None and name.startswith("lab_") and inspect.isroutine(getattr(plugin, name, None)):
            return pluggy.HookimplOpts(
                wrapper=False,
                hookwrapper=False,
                optionalhook=False,
                tryfirst=False,
                trylast=False,
                specname=None,
            )
        return options


class Plugins:
    """The loaded plugins: their components (`registry`), their hooks, and a report on each."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.reports: list[PluginReport] = []
        self._manager = _Manager("pluglab")
        self._manager.add_hookspecs(hookspecs)
        self._builtin: set[str] = set()

    def add_builtin(self, name: str) -> None:
        """Load a module of the core; a failure here is a fault of ours and is raised."""
        count = self._register(importlib.import_module(BUILTIN[name]), name)
        self._builtin.add(name)
        self.reports.append(PluginReport(name, "pluglab", pluglab.__version__, "ok", "", count))

    def add_entry_point(self, entry: EntryPoint) -> None:
        """Load an installed plugin, unless its own metadata excludes this core."""
        distribution, version = _origin(entry)
        if any(report.name == entry.name for report in self.reports):
            error = f"another distribution already provides a plugin named '{entry.name}'"
            self.reports.append(PluginReport(entry.name, distribution, version, "broken", error))
            return
        if clash := _incompatibility(entry.dist):
            self.reports.append(PluginReport(entry.name, distribution, version, "incompatible", clash))
            return
        status, error, count = self._attempt(entry)
        self.reports.append(PluginReport(entry.name, distribution, version, status, error, count))

    def _attempt(self, entry: EntryPoint) -> tuple[Status, str, int]:
        try:
            return "ok", "", self._register(entry.load(), entry.name)
        except (Exception, SystemExit) as error:
            return "broken", _one_line(error), 0

    def add_file(self, path: Path) -> None:
        """Load one Python file as a plugin. Asked for by name, so a failure is a `UserError`."""
        if not path.is_file():
            help = ["give the path of a Python file, such as ./my_method.py"]
            raise UserError(f"there is no plugin file {path}", help=help)
        if any(report.name == path.stem and report.status == "ok" for report in self.reports):
            message = f"the plugin file {path} cannot be loaded: there is a plugin '{path.stem}' already"
            raise UserError(message, help=["give the file another name"])
        try:
            count = self._register(_import_file(path), path.stem)
        except (Exception, SystemExit) as error:
            where = _last_line_in(error, path)
            raise UserError(
                f"the plugin file {path} cannot be loaded: {_one_line(error)}",
                help=[where] if where else [],
            ) from error
        self.reports.append(PluginReport(path.stem, str(path), "", "ok", "", count))

    def _register(self, module: ModuleType, name: str) -> int:
        """All or nothing: hooks checked, components staged, then both kept."""
        _check_hook_names(module)
        registrar = Registrar(name)
        try:
            self._manager.register(module, name)
            for implementation in self._implementations("lab_register", name):
                _call(implementation, {"registry": registrar})
        except BaseException:
            self._manager.unregister(name=name)
            raise
        self.registry.extend(registrar.entries)
        return len(registrar.entries)

    def _implementations(self, hook: str, plugin: str | None = None) -> list[pluggy.HookImpl]:
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        return [impl for impl in caller.get_hookimpls() if plugin in (None, impl.plugin_name)]

    def notify(self, hook: str, **arguments: Any) -> None:
        """Call a life-cycle hook of every plugin. One that raises is dropped with a warning, so that an
        observer cannot end a training; a failing built-in (a full disk, say) is a `RunError`."""
        for implementation in self._implementations(hook):
            try:
                _call(implementation, arguments)
            except Exception as error:
                self._dismiss(implementation.plugin_name, hook, error)

    def _dismiss(self, name: str, hook: str, error: Exception) -> None:
        if name in self._builtin:
            raise RunError(f"'{name}' failed in {hook}: {_one_line(error)}") from error
        self._manager.unregister(name=name)
        message = f"plugin '{name}' failed in {hook} and is left out from here on: {_one_line(error)}"
        warnings.warn(message, stacklevel=3)

    def add_commands(self, app: Any) -> None:
        """Let plugins add commands; a plugin that fails here is reported as broken."""
        for implementation in self._implementations("lab_commands"):
            try:
                _call(implementation, {"app": app})
            except Exception as error:
                self._mark_broken(implementation.plugin_name, _one_line(error))

    def _mark_broken(self, name: str, error: str) -> None:
        self.reports = [
            PluginReport(r.name, r.distribution, r.version, "broken", error, r.components)
            if r.name == name
            else r
            for r in self.reports
        ]


def load_plugins(files: Iterable[Path] = (), only: str | None = None) -> Plugins:
    """Built-in plugins, then installed ones, then `files`.

    `only` (default: the environment variable LAB_PLUGINS) is a comma-separated list that limits which
    installed plugins load.
    """
    plugins = Plugins()
    for name in BUILTIN:
        plugins.add_builtin(name)
    wanted = _wanted(os.environ.get("LAB_PLUGINS") if only is None else only)
    found = list(_installed())
    for entry in found:
        if wanted is None or entry.name in wanted:
            plugins.add_entry_point(entry)
        else:
            plugins.reports.append(_report_disabled(entry))
    for name in sorted((wanted or set()) - {entry.name for entry in found}):
        plugins.reports.append(PluginReport(name, "?", "", "broken", "LAB_PLUGINS names it; not installed"))
    for path in files:
        plugins.add_file(path)
    return plugins


def _wanted(text: str | None) -> set[str] | None:
    return None if text is None else {name.strip() for name in text.split(",") if name.strip()}


def _installed() -> Iterator[EntryPoint]:
    """Entry points of our group by name; one distribution seen twice on the path counts once."""
    seen: set[tuple[str, str, str]] = set()
    for entry in sorted(entry_points(group=GROUP), key=lambda e: (e.name, _origin(e))):
        key = (entry.name, entry.value, _origin(entry)[0])
        if key not in seen:
            seen.add(key)
            yield entry


def _report_disabled(entry: EntryPoint) -> PluginReport:
    return PluginReport(entry.name, *_origin(entry), "disabled", "not named in LAB_PLUGINS")


def _origin(entry: EntryPoint) -> tuple[str, str]:
    """Name and version of the distribution; a damaged one may lack both."""
    return (entry.dist.name or "?", entry.dist.version or "?") if entry.dist else ("?", "?")


def _incompatibility(distribution: Distribution | None) -> str:
    """Why the distribution's own requirements exclude this core, or an empty string."""
    lines = (distribution.requires if distribution else None) or []
    for line in [line for line in lines if re.match(r"pluglab\b(?![-_.])", line, re.I)]:
        from packaging.requirements import InvalidRequirement, Requirement

        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            return f"its requirement '{line}' is not valid"
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if applies and not requirement.specifier.contains(pluglab.__version__, prereleases=True):
            return f"needs pluglab {requirement.specifier}, this is {pluglab.__version__}"
    return ""


def _check_hook_names(module: ModuleType) -> None:
    known = [name for name in vars(hookspecs) if name.startswith("lab_")]
    for name, value in vars(module).items():
        if name.startswith("lab_") and inspect.isroutine(value) and name not in known:
            hint = did_you_mean(name, known) or f"hooks are {', '.join(known)}"
            raise AttributeError(f"there is no hook '{name}'; {hint}")


def _call(implementation: pluggy.HookImpl, arguments: dict[str, Any]) -> None:
    implementation.function(*(arguments[name] for name in implementation.argnames))


def _import_file(path: Path) -> ModuleType:
    name = f"pluglab_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise ImportError("a plugin file must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with contextlib.ExitStack() as undo:
        undo.callback(sys.modules.pop, name, None)
        spec.loader.exec_module(module)
        undo.pop_all()
    return module


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _last_line_in(error: BaseException, path: Path) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame for frame in frames if Path(frame.filename) == path.resolve()]
    return f"{path}:{lines[-1].lineno}: {lines[-1].line}" if lines else ""
