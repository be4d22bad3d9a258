"""All trainers, for tests that train them in several processes on this machine, or on no device at all."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import Any

from pluglab.testing import components
from pluglab_testing.rig import setting_for
from tests.testing.cheap import OPTIONS

PLUGINS = sorted(e.name for e in entry_points(group="pluglab") if e.value.startswith("pluglab_"))


@cache
def trainers(names: tuple[str, ...] = ()) -> list[Any]:
    """These, or all, each with images that it takes."""
    found = [part for plugin in PLUGINS for part in components(plugin, options=OPTIONS)]
    parts = [part for part in found if part.kind == "trainer" and (not names or part.name in names)]
    for part in parts:
        part.entry.load()
        setting_for(part)
    return parts
