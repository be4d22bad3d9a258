"""What is asked of a distribution as a whole, and of a plugin in one file."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path
from typing import Any

import typer
from packaging.requirements import InvalidRequirement, Requirement

from pluglab.conformance import HEAVY, Plugins, a, build_app, place_of_code
from pluglab_testing.checking import Fault, NotAsked, Subject, check

SLOW_S = 0.2  # of a start that is to take 0.3 s
TRIES = 3
# In a process of its own, after all that `lab` has imported already.
IMPORT = """
import io, json, sys, time
import pluglab.cli.app, pluglab.plugins.registry
there, out, start = set(sys.modules), io.StringIO(), time.process_time()
real, sys.stdout, sys.stderr = sys.stdout, out, out
import {module}
seconds = time.process_time() - start
heavy = [name for name in {heavy!r} if name in sys.modules and name not in there]
print(json.dumps([seconds, heavy, out.getvalue(), sys.modules[{module!r}].__file__]), file=real)
"""


@dataclass(eq=False)
class Package(Subject):
    """A plugin that is installed, with its distribution, or one in a file."""

    name: str
    plugin: str
    plugins: Plugins
    entry: EntryPoint | None = None
    file: Path | None = None

    @property
    def kind(self) -> str:  # type: ignore[override]
        return "package" if self.entry else "file"

    @property
    def distribution(self) -> Distribution:
        """Raises `NotAsked` for a file."""
        if self.entry is None or self.entry.dist is None:
            raise NotAsked
        return self.entry.dist

    @property
    def place(self) -> str:
        return f"{self.file}:1" if self.file else self.line_of("")

    def line_of(self, word: str) -> str:
        """The line of its pyproject.toml that begins with a word, where it is installed from a folder."""
        text = self.distribution.read_text("direct_url.json")
        url = urllib.parse.urlparse(json.loads(text)["url"]) if text else None
        file = Path(urllib.request.url2pathname(url.path)) / "pyproject.toml" if url else Path()
        if not file.is_file():
            return ""
        lines = file.read_text().splitlines()
        found = (number for number, line in enumerate(lines, 1) if word and re.match(rf"\s*{word}", line))
        return f"{file}:{next(found, 1)}"

    def is_authors(self, module: str) -> bool:
        own = self.entry.module if self.entry else f"pluglab_file_{self.plugin}"
        return module.partition(".")[0] == own.partition(".")[0]


@check("package", "loaded", gates=True)
def is_loaded(package: Package) -> None:
    """It is loaded: it can be imported, its hooks are hooks, its requirements allow this pluglab"""
    report = next(one for one in package.plugins.reports if one.name == package.plugin)
    if report.status != "ok":
        raise Fault(f"it is {report.status}: {report.error}", where=package.line_of(r"\W*pluglab[^-\w]"))


@check("package", "import")
def imports_lightly(package: Package) -> None:
    """Its plugin module is imported within 0.2 s, without torch and the like, and prints nothing"""
    assert package.entry is not None
    module = package.entry.module
    seconds, heavy, printed, file = min(_imported(module) for _ in range(TRIES))
    where = f"{file}:1"
    if heavy:
        message = f"importing {module} brings in {heavy[0]}, at every call of `lab`"
        raise Fault(message, help=['name targets by a string: "package.module:Class"'], where=where)
    if printed:
        raise Fault(f"importing {module} prints {printed.splitlines()[0]!r}", where=where)
    if seconds > SLOW_S:
        help = ["import what takes long where it is used"]
        raise Fault(
            f"importing {module} takes {seconds:.2f} s, at every call of `lab`", help=help, where=where
        )


def _imported(module: str) -> tuple[float, list[str], str, str]:
    code = IMPORT.format(module=module, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Fault(f"{module} cannot be imported: {done.stderr.strip().splitlines()[-1]}")
    seconds, heavy, printed, file = json.loads(done.stdout)
    return seconds, heavy, printed, file


@check("package", "bounds")
def bounds_are_there(package: Package) -> None:
    """It requires pluglab from a version on and up to one, and says which Python it needs"""
    where = package.line_of("dependencies")
    found = [one for one in _requirements(package.distribution) if one.name.lower() == "pluglab"]
    help = ['dependencies = ["pluglab>=0.2,<0.3"]']
    if not found:
        raise Fault("it does not require pluglab", help=help, where=where)
    operators = {one.operator for requirement in found for one in requirement.specifier}
    if not operators & {"<", "<=", "~=", "=="}:
        help = [*help, "a later pluglab may change what the plugin uses"]
        raise Fault("it requires pluglab without an upper bound", help=help, where=where)
    if "Requires-Python" not in package.distribution.metadata:
        raise Fault("it does not say which Python it needs", help=['requires-python = ">=3.11"'], where=where)


def _requirements(distribution: Distribution) -> Iterator[Requirement]:
    for line in distribution.requires or ():
        try:
            yield Requirement(line)
        except InvalidRequirement as error:
            raise Fault(f"its requirement '{line}' is not valid") from error


@check("package", "description")
def is_described(package: Package) -> None:
    """It has what an index shows: a summary, a README, a license, where it comes from"""
    metadata: Any = package.distribution.metadata
    where = package.line_of(r"\[project\]")
    text = metadata.get("Description") or metadata.get_payload() or ""
    wanted = {
        "description": metadata.get("Summary"),
        "readme": text.strip(),
        "license": metadata.get("License-Expression")
        or metadata.get("License")
        or metadata.get("License-File"),
        "urls": metadata.get_all("Project-URL") or metadata.get("Home-page"),
        "classifiers": metadata.get_all("Classifier"),
    }
    missing = [name for name, value in wanted.items() if not value]
    if missing:
        raise Fault(f"its pyproject.toml has no {' and no '.join(missing)}", where=where)


@check("package", "typed")
def is_typed(package: Package) -> None:
    """It says that it is typed: a file py.typed beside its modules"""
    assert package.entry is not None
    from importlib.util import find_spec

    found = find_spec(package.entry.module.partition(".")[0])
    folders = list(found.submodule_search_locations or ()) if found else []
    if folders and not any((Path(folder) / "py.typed").is_file() for folder in folders):
        help = ["an empty file, named in [tool.setuptools.package-data]"]
        raise Fault(
            f"{found.name if found else ''} has no py.typed", help=help, where=package.line_of("name")
        )


def adds_commands(package: Package) -> None:
    """Its commands have names that are free, and each says what it does"""
    before = {id(one.callback) for one in build_app(Plugins()).registered_commands}
    app = build_app(package.plugins)
    report = next(one for one in package.plugins.reports if one.name == package.plugin)
    if report.status != "ok":
        message, _, where = report.error.rpartition(" (")
        raise Fault(message or report.error, where=where.rstrip(")"))
    for command in _own(package, app):
        if id(command.callback) not in before and not (command.help or command.callback.__doc__):
            name = command.name or command.callback.__name__
            message = f"the command '{name}' does not say what it does"
            raise Fault(message, help=["write a docstring"], where=place_of_code(command.callback))


def _own(package: Package, app: typer.Typer) -> Iterator[Any]:
    """Its commands, and those of its groups."""
    for command in app.registered_commands:
        if package.is_authors(getattr(command.callback, "__module__", "")):
            yield command
    for group in app.registered_groups:
        if group.typer_instance is not None:
            yield from _own(package, group.typer_instance)


def names_are_its_own(package: Package) -> None:
    """No component of another plugin has the name of one of its own"""
    others = {(e.kind, e.name): e for e in package.plugins.registry if e.plugin != package.plugin}
    for entry in package.plugins.registry:
        if entry.plugin == package.plugin and (other := others.get((entry.kind, entry.name))):
            message = f"there is {a(entry.kind)} '{entry.name}' already, of the plugin '{other.plugin}'"
            help = ["recipes that name it would have to say whose; choose another name"]
            raise Fault(message, help=help, where=entry.where)


for _kind in ("package", "file"):
    check(_kind, "commands")(adds_commands)
    check(_kind, "names")(names_are_its_own)
