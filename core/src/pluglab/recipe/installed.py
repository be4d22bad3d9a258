"""Recipes that come with plugins: a folder of TOML files in an installed package.

A distribution names that folder as a package, in the entry-point group `pluglab.recipes`:

    [project.entry-points."pluglab.recipes"]
    coral = "pluglab_coral.recipes"

Each is called by its path in the folder without `.toml`: 'coral'; 'coral/coral' where two plugins have one.
"""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from pluglab.errors import UserError

GROUP = "pluglab.recipes"


def installed_recipes() -> dict[str, Path]:
    """The files by their names, those names with the plugin's where two would have one."""
    found = [(plugin, name, path) for plugin, folder in _folders() for name, path in _within(folder)]
    names = [name for _, name, _ in found]
    return {name if names.count(name) == 1 else f"{plugin}/{name}": path for plugin, name, path in found}


def installed_recipe(name: str) -> Path | None:
    """The file of that name, plain or with the plugin's; None where there is none. Raises `UserError` for
    several."""
    pairs = [(plugin, own, path) for plugin, folder in _folders() for own, path in _within(folder)]
    found = {f"{plugin}/{own}": path for plugin, own, path in pairs if name in (own, f"{plugin}/{own}")}
    if len(found) > 1:
        ways = " or ".join(f"'{qualified}'" for qualified in found)
        raise UserError(f"{len(found)} plugins have a recipe '{name}'", help=[f"write {ways}"])
    return next(iter(found.values()), None)


def _folders() -> list[tuple[str, Path]]:
    """The folders of plugins that are not switched off, each once."""
    wanted = os.environ.get("LAB_PLUGINS")
    names = None if wanted is None else {name.strip() for name in wanted.split(",")}
    entries = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    own = [entry for entry in entries if names is None or entry.name in names]
    return sorted({(entry.name, folder) for entry in own for folder in _places(entry.value)})


def _places(package: str) -> list[Path]:
    """Found without running the plugin's code, which may be damaged, or slow to import."""
    top, *rest = package.split(".")
    spec = find_spec(top)
    return [Path(place, *rest) for place in (spec.submodule_search_locations if spec else None) or ()]


def _within(folder: Path) -> list[tuple[str, Path]]:
    files = (path for path in sorted(folder.rglob("*.toml")) if not path.name.startswith("."))
    return [(path.relative_to(folder).with_suffix("").as_posix(), path) for path in files]
