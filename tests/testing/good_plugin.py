"""Registers what `good` has."""

from __future__ import annotations

from typing import Any

from tests.testing.good import Dim, Drawer, Linear, Look, Noise


def lab_register(registry: Any) -> None:
    registry.add("trainer", "linear", Linear, summary="one layer")
    registry.add("trainer", "drawer", Drawer, summary="draws")
    registry.add("evaluator", "look", Look, summary="brightness")
    registry.add("dataset", "noise", Noise, summary="noise")
    registry.add("transform", "dim", Dim, summary="darker")
