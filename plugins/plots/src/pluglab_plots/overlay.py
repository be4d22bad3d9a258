"""Curves of several runs in one plot: a color a variant, a band over its seeds."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pluglab.style import places_of

Data = Mapping[str, Any]
Values = dict[float, list[float]]


def overlaid(runs: Mapping[str, Sequence[Data]], title: str = "") -> dict[str, Any]:
    """Data of kind 'curves' from those of several runs: `runs` holds a variant's, one a seed, by its name.

    A panel is one quantity, 'loss/class', with a curve for each variant that has it: the mean over seeds,
    between the least and the greatest. A variant has the color of `pluglab.style.colors_of(runs)`.
    """
    panels: dict[str, dict[str, Any]] = {}
    units: dict[str, str] = {}
    for variant, seeds in runs.items():
        for quantity, values in _together(seeds).items():
            panels.setdefault(quantity, {})[variant] = _band(values)
    for data in (one for seeds in runs.values() for one in seeds):
        given = data.get("units", {})
        units |= {quantity: given.get(panel, panel) for panel, _, quantity in _series(data)}
    return {"plot": "curves", "title": title, "panels": panels, "units": units, "colors": places_of(runs)}


def _series(data: Data) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Panel, points and quantity of each curve; the quantity is 'loss/class' as it is logged."""
    for panel, series in data["panels"].items():
        group = data.get("groups", {}).get(panel, panel)
        for name, points in series.items():
            yield panel, points, group if group == name else f"{group}/{name}"


def _together(seeds: Sequence[Data]) -> dict[str, Values]:
    """The values of every seed at each step, by quantity."""
    found: dict[str, Values] = {}
    for data in seeds:
        for _, points, quantity in _series(data):
            values = found.setdefault(quantity, {})
            for step, value in zip(points["step"], points["value"], strict=True):
                values.setdefault(step, []).append(value)
    return found


def _band(values: Values) -> dict[str, list[float]]:
    ordered = sorted(values.items())
    curve = {"step": [s for s, _ in ordered], "value": [statistics.fmean(v) for _, v in ordered]}
    if any(len(v) > 1 for _, v in ordered):
        curve |= {"low": [min(v) for _, v in ordered], "high": [max(v) for _, v in ordered]}
    return curve
