"""`lab new plugin` and `lab new KIND`: what an author begins with, from the templates of this package."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

import pluglab
from pluglab.conformance import a
from pluglab.errors import UserError, did_you_mean

# What each kind is called in a class's file, and the distributions that its recipe, or itself, needs.
SUMMARIES = {
    "trainer": "a classifier with one hidden layer",
    "evaluator": "how sure predictions are",
    "dataset": "bars and crosses, drawn",
    "transform": "images upside down",
    "metric": "mean probability of the right class",
    "encoder": "one convolution",
    "optimizer": "steps by the sign of the gradient",
    "schedule": "down along a cosine",
    "observer": "losses as a text file",
}
KINDS = tuple(SUMMARIES)
WIDTH = 110
NEEDS = {"encoder": ("pluglab-domain-adaptation",), "metric": ("pluglab-metrics",)}
FOR_RECIPES = "pluglab-datasets", "pluglab-domain-adaptation", "pluglab-metrics"
# The files of a distribution, by their templates.
FILES = {
    "pyproject.toml": "plugin/pyproject.toml",
    "README.md": "plugin/README.md",
    "LICENSE": "plugin/LICENSE",
    ".gitignore": "plugin/gitignore",
    ".github/workflows/test.yml": "plugin/test.yml",
    ".github/workflows/publish.yml": "plugin/publish.yml",
    "tests/test_conformance.py": "plugin/test.py",
    "src/$package/__init__.py": "plugin/init.py",
    "src/$package/$kind.py": "kinds/$kind.py",
    "src/$package/recipes/$name.toml": "recipes/$kind.toml",
}
REGISTER = """

def lab_register(registry: Registrar) -> None:
    registry.add("$kind", "$name", $Class, summary="$summary")
"""


@dataclass(frozen=True)
class Begun:
    """What is written: a component of this kind and name."""

    kind: str
    name: str

    def words(self) -> Mapping[str, str]:
        """What stands for what in the templates."""
        distribution = f"pluglab-{self.name.replace('_', '-')}"
        needs = [f"pluglab{_bounds()}", *(f"{one}{_bounds()}" for one in NEEDS.get(self.kind, ()))]
        return {
            "kind": self.kind,
            "article": a(self.kind),
            "name": self.name,
            "title": self.name.replace("_", " "),
            "Title": self.name.replace("_", " ").capitalize(),
            "Class": "".join(part.capitalize() for part in self.name.split("_")),
            "distribution": distribution,
            "package": f"pluglab_{self.name}",
            "module": self.kind,
            "summary": SUMMARIES[self.kind],
            "bounds": _bounds(),
            "year": str(datetime.date.today().year),
            "dependencies": _lines(needs),
            "recipe_dependencies": _lines([f"{one}{_bounds()}" for one in FOR_RECIPES]),
        }

    def files(self) -> Iterator[tuple[str, str]]:
        """Path and text of each file of a distribution."""
        words = self.words()
        for path, template in FILES.items():
            yield Template(path).substitute(words), _text(Template(template).substitute(words), words)
        yield f"src/{words['package']}/py.typed", ""

    def file(self) -> str:
        """The component and its registration as one file."""
        words = self.words()
        text = _text(f"kinds/{self.kind}.py", words) + Template(REGISTER).substitute(words)
        return _with_registrar(text)


def begun(kind: str, name: str) -> Begun:
    """Raises `UserError` for a kind that is not written, and for a name that no component can have."""
    if kind not in KINDS:
        help = filter(None, [did_you_mean(kind, KINDS), f"kinds: {', '.join(KINDS)}"])
        raise UserError(f"no {kind} can be written", help=help)
    plain = name.lower().removeprefix("pluglab-").replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", plain):
        raise UserError(
            f"'{name}' cannot be a name", help=["small letters, digits and '_', as in rectified_flow"]
        )
    return Begun(kind, plain)


def write_plugin(one: Begun, folder: Path) -> list[Path]:
    """Raises `UserError` where the folder is there already."""
    if folder.exists():
        raise UserError(f"{folder} is there already", help=["choose another name, or another place by --out"])
    written = []
    for path, text in one.files():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        written.append(file)
    return written


def write_file(one: Begun, path: Path) -> None:
    """Raises `UserError` where the file is there already."""
    if path.exists():
        raise UserError(f"{path} is there already", help=["choose another name"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(one.file())


def _bounds() -> str:
    """From this version of pluglab up to the next that may change what a plugin uses."""
    major, minor = pluglab.__version__.split(".")[:2]
    return f">={major}.{minor},<{major}.{int(minor) + 1}"


def _lines(requirements: list[str]) -> str:
    return "\n".join(f'  "{one}",' for one in requirements)


def _text(template: str, words: Mapping[str, str]) -> str:
    text = files("pluglab_testing").joinpath("templates", *f"{template}.txt".split("/")).read_text("utf-8")
    return Template(text).substitute(words)


def _with_registrar(text: str) -> str:
    """The module, importing what its registration needs, as import sorters have it."""
    lines = text.splitlines()
    ours = next(
        (number for number, line in enumerate(lines) if line.startswith("from pluglab import ")), None
    )
    names = lines.pop(ours).removeprefix("from pluglab import ").split(", ") if ours is not None else []
    place = next(n for n, line in enumerate(lines) if re.match("from (pluglab|pydantic|torch)", line))
    lines[place:place] = _import("pluglab", sorted([*names, "Registrar"], key=_order))
    return "\n".join(lines) + "\n"


def _import(module: str, names: Sequence[str]) -> list[str]:
    line = f"from {module} import {', '.join(names)}"
    fits = len(line) <= WIDTH
    return [line] if fits else [f"from {module} import (", *(f"    {name}," for name in names), ")"]


def _order(name: str) -> tuple[bool, str]:
    """Classes before functions."""
    return not name[0].isupper(), name
