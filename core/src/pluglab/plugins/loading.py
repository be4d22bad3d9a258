"""Finds and loads plugins, each on its own: a broken one is reported and everything else works."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import os
import re
import sys
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from importlib.metadata import Distribution, EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import pluggy

import pluglab
from pluglab.ctrl_c import STRAY, let_ctrl_c_pass
from pluglab.errors import UserError, did_you_mean
from pluglab.plain import copied
from pluglab.plugins import builtin, hookspecs
from pluglab.plugins.commands import only_adding, place_of_code
from pluglab.plugins.registry import Registrar, Registry

if TYPE_CHECKING:
    from pluglab.protocols import RunInfo

GROUP = "pluglab"
HEAVY = "torch", "torchvision", "numpy", "sklearn", "tensorboard", "pandas", "matplotlib"
Status = Literal["ok", "broken", "incompatible", "disabled"]


@dataclass(frozen=True)
class PluginReport:
    """What became of one plugin. `distribution` is 'pluglab' for built-in ones, a path for a file.

    `seconds` is how long it took to load, `heavy` are those of `HEAVY` that it brought in.
    """

    name: str
    distribution: str
    version: str
    status: Status
    error: str = ""
    components: int = 0
    seconds: float = field(default=0.0, compare=False)
    heavy: tuple[str, ...] = field(default=(), compare=False)


_trusting: ContextVar[bool] = ContextVar("trusting", default=False)
_packages: set[str] = set()


@contextlib.contextmanager
def trusting() -> Iterator[None]:
    """Inside, plugin files run that only a run's record names."""
    token = _trusting.set(True)
    try:
        yield
    finally:
        _trusting.reset(token)


def is_trusting() -> bool:
    """Whether the person has said so."""
    return _trusting.get()


def is_plugin_code(module: str) -> bool:
    """Whether a module belongs to a plugin that has been loaded."""
    return module.partition(".")[0] in _packages


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
        self.files: list[Path] = []
        self._manager = _Manager("pluglab")
        self._manager.add_hookspecs(hookspecs)
        count = self._register(builtin, "core")  # a failure here is a fault of ours
        self.reports.append(PluginReport("core", "pluglab", pluglab.__version__, "ok", "", count))

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
        there, start = set(sys.modules), time.perf_counter()
        status, error, count = self._attempt(entry)
        seconds = time.perf_counter() - start
        heavy = tuple(name for name in HEAVY if name in sys.modules and name not in there)
        self.reports.append(
            PluginReport(entry.name, distribution, version, status, error, count, seconds, heavy)
        )

    def _attempt(self, entry: EntryPoint) -> tuple[Status, str, int]:
        try:
            with redirect_stdout(sys.stderr):  # what a command prints on stdout stays clean
                return "ok", "", self._register(entry.load(), entry.name)
        except STRAY as error:
            let_ctrl_c_pass(error)
            return "broken", one_line(error), 0

    def add_file(self, path: Path) -> None:
        """Load one Python file as a plugin. Asked for by name, so a failure is a `UserError`."""
        if not path.is_file():
            help = ["give the path of a Python file, such as ./my_method.py"]
            raise UserError(f"there is no plugin file {path}", help=help)
        if any(report.name == path.stem and report.status == "ok" for report in self.reports):
            message = f"the plugin file {path} cannot be loaded: there is a plugin '{path.stem}' already"
            raise UserError(message, help=["give the file another name"])
        try:
            with redirect_stdout(sys.stderr):
                count = self._register(_import_file(path), path.stem)
        except STRAY as error:
            let_ctrl_c_pass(error)
            where = _last_line_in(error, path)
            raise UserError(
                f"the plugin file {path} cannot be loaded: {one_line(error)}",
                help=[where] if where else [],
            ) from error
        self.files.append(path)
        self.reports.append(PluginReport(path.stem, str(path), "", "ok", "", count))

    def _register(self, module: ModuleType, name: str) -> int:
        """All or nothing: hooks checked, components staged, then both kept."""
        _check_hooks(module)
        registrar = Registrar(name)
        try:
            self._manager.register(module, name)
            for implementation in self._implementations("lab_register", name):
                _call(implementation, {"registry": registrar})
        except BaseException:
            self._manager.unregister(name=name)
            raise
        self.registry.extend(registrar.entries, registrar.kinds)
        if module is not builtin:
            targets = [str(entry.target) for entry in registrar.entries if isinstance(entry.target, str)]
            _packages.update(re.split("[.:]", name)[0] for name in (module.__name__, *targets))
        return len(registrar.entries)

    def _implementations(self, hook: str, plugin: str | None = None) -> list[pluggy.HookImpl]:
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        return [impl for impl in caller.get_hookimpls() if plugin in (None, impl.plugin_name)]

    def check_kinds(self) -> None:
        """Report plugins with components of a kind that nobody declares; of a file that is a `UserError`."""
        declared = [kind.name for kind in self.registry.kinds()]
        for entry in [entry for entry in self.registry if entry.kind not in declared]:
            guess = did_you_mean(entry.kind, declared) or "`lab list kinds` shows those that there are"
            message = f"no plugin declares the kind '{entry.kind}' of '{entry.name}'; {guess}"
            if any(path.stem == entry.plugin for path in self.files):
                help = [f"a kind of your own: registry.kind('{entry.kind}', summary=\"...\")"]
                raise UserError(message, help=help, where=entry.where)
            self._mark_broken(entry.plugin, f"{message} ({entry.where})")

    def notify(self, hook: str, *, run: RunInfo, **arguments: Any) -> None:
        """Call a life-cycle hook of every plugin, each with a copy of its own. One that raises is dropped
        with a warning, so that an observer cannot end a training."""
        for implementation in self._implementations(hook):
            try:
                _call(implementation, copied({"run": run, **arguments}))
            except STRAY as error:
                let_ctrl_c_pass(error)
                name = implementation.plugin_name
                self._manager.unregister(name=name)
                left_out(f"plugin '{name}'", hook, run, error)

    def add_commands(self, app: Any) -> None:
        """Let plugins add commands; one that fails here, or takes a name that there is, is broken."""
        for implementation in self._implementations("lab_commands"):
            try:
                with only_adding(app), redirect_stdout(sys.stderr):
                    _call(implementation, {"app": app})
            except STRAY as error:
                let_ctrl_c_pass(error)
                where = place_of_code(getattr(error, "function", None), implementation.function)
                words = f"{one_line(error)} ({where})"
                warn(f"plugin '{implementation.plugin_name}' is left out: {words}")
                self._mark_broken(implementation.plugin_name, words)

    def versions(self) -> dict[str, str]:
        """Name and version of each installed plugin that is loaded, the core's aside."""
        named = (report for report in self.reports if report.status == "ok" and report.version)
        return {r.name: f"{r.distribution} {r.version}" for r in named if r.distribution != "pluglab"}

    def _mark_broken(self, name: str, error: str) -> None:
        self.registry.drop(name)
        if self._manager.has_plugin(name):
            self._manager.unregister(name=name)
        self.reports = [
            replace(report, status="broken", error=error) if report.name == name else report
            for report in self.reports
        ]


def load_plugins(files: Iterable[Path] = (), only: str | None = None) -> Plugins:
    """Built-in plugins, then installed ones, then `files`.

    `only` (default: the environment variable LAB_PLUGINS) is a comma-separated list that limits which
    installed plugins load.
    """
    plugins = Plugins()
    wanted = _wanted(os.environ.get("LAB_PLUGINS") if only is None else only)
    found = list(_installed())
    for entry in found:
        if wanted is None or entry.name in wanted:
            plugins.add_entry_point(entry)
        else:
            plugins.reports.append(_report_disabled(entry))
    for name in sorted((wanted or set()) - {entry.name for entry in found}):
        plugins.reports.append(PluginReport(name, "?", "", "broken", "LAB_PLUGINS names it; not installed"))
    for path in {path.resolve(): path for path in files}.values():
        plugins.add_file(path)
    plugins.check_kinds()
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


def _check_hooks(module: ModuleType) -> None:
    """Raises for a function that looks like a hook and is none, or that asks for what it is not given."""
    known = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("lab_")}
    for name, value in vars(module).items():
        if not (name.startswith("lab_") and inspect.isroutine(value)):
            continue
        if name not in known:
            hint = did_you_mean(name, known) or f"hooks are {', '.join(known)}"
            raise AttributeError(f"there is no hook '{name}'; {hint}")
        given = list(inspect.signature(known[name]).parameters)
        for asked, parameter in inspect.signature(value).parameters.items():
            if asked not in given and parameter.default is parameter.empty:
                raise TypeError(
                    f"{name} is given ({', '.join(given)}), and asks for '{asked}' ({place_of_code(value)})"
                )


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


def left_out(who: str, moment: str, run: RunInfo, error: BaseException) -> None:
    """Warn of an observer that is not called any more."""
    warn(f"{who} failed in {moment} ({run.label}) and is left out from here on: {one_line(error)}")


def warn(message: str) -> None:
    """Warn each time; Python by itself does so only where the words are new."""
    warnings.warn_explicit(message, UserWarning, __file__, 1)


def one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _last_line_in(error: BaseException, path: Path) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame for frame in frames if Path(frame.filename) == path.resolve()]
    return f"{path}:{lines[-1].lineno}: {lines[-1].line}" if lines else ""
