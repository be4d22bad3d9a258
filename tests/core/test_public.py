"""Plugins stand on public names: those in docs/architecture.md, and of each other what `__all__` has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name

import pytest

from pluglab import conformance

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").partition("## What is public")[2]
LISTED = set(re.findall(r"`(pluglab(?:\.\w+)*)`", SECTION))
WHOLE = "pluglab.architecture", "pluglab.comparison", "pluglab.training"  # their modules, too
PLUGINS = sorted(path.parent for path in (ROOT / "plugins").glob("*/src"))
EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/src"))


def imports(folder: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """Each module that a package imports from, where, and which names of it."""
    for file in sorted((folder / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module, file, [alias.name for alias in node.names]
            elif isinstance(node, ast.Import):
                yield from ((alias.name, file, []) for alias in node.names)


def is_public(module: str) -> bool:
    return module in LISTED or any(module.startswith(f"{package}.") for package in WHOLE)


@pytest.mark.parametrize("folder", [*PLUGINS, *EXAMPLES], ids=lambda path: path.name)
def test_only_public_modules_of_the_core_are_imported(folder: Path) -> None:
    core = [(name, file) for name, file, _ in imports(folder) if re.match(r"pluglab(\.|$)", name)]
    assert core or folder.name == "all"
    assert [f"{file.name}: {name}" for name, file in core if not is_public(name)] == []


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda path: path.name)
def test_examples_import_of_plugins_what_these_name(folder: Path) -> None:
    own = next((folder / "src").glob("*/__init__.py")).parent.name
    for module, file, names in imports(folder):
        package = module.partition(".")[0]
        if package.startswith("pluglab_") and package != own:
            assert module == package and set(names) <= set(import_module(package).__all__), file


def test_a_kits_names_are_there_and_explained() -> None:
    names = [name for name in dir(conformance) if not name.startswith("_")]
    public = [name for name in names if name not in ("TYPE_CHECKING", "lazily")]
    told = set(re.findall(r"`(\w+)`", conformance.__doc__ or ""))
    assert set(public) == told
    for name in public:
        assert getattr(conformance, name) is not None


def test_every_listed_module_is_there() -> None:
    for name in LISTED:
        resolve_name(name)
