"""Everything that comes along goes through the checks that strangers' components go through."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest

from pluglab.testing import Subject, components, faults
from tests.testing.cheap import OPTIONS

PLUGINS = ["core", *sorted(e.name for e in entry_points(group="pluglab") if e.value.startswith("pluglab_"))]
ALL = [part for plugin in PLUGINS for part in components(plugin, options=OPTIONS)]


@pytest.mark.parametrize("component", ALL, ids=str)
def test_nothing_is_wrong_with(component: Subject) -> None:
    assert faults(component) == []
