"""Plots of kind 'curves': values against steps, a panel a group, all with one axis of steps.

Keys: `panels`, a panel's title to its series: name to `step` and `value`, lists of one length, and where
there is a band around the values `low` and `high`. `units` are the words at a panel's values, `words` those
of a series in the legend, `colors` the places of series in the style (`pluglab.style.look`), `groups` the
group that a panel is a part of, all by name and all optional. `columns`: panels a row; `title`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure as Plot
from matplotlib.ticker import EngFormatter

from pluglab.style import look, places
from pluglab_plots.canvas import label, new_plot

FEW = 25  # points, which are marked one by one
MARKS = 8  # on a longer curve, so that it is known without its color
WIDTH, HEIGHT, NARROWEST = 4.2, 3.3, 6.5  # inches of a panel; of the picture


def draw(data: Mapping[str, Any], dpi: float) -> Plot:
    """The panels in rows."""
    panels: Mapping[str, Any] = data["panels"]
    columns = max(1, min(int(data.get("columns", 3)), len(panels)))
    rows = -(-len(panels) // columns)
    narrowest = NARROWEST if data.get("title") else WIDTH
    figure = new_plot(max(narrowest, WIDTH * columns), HEIGHT * rows, dpi)
    if data.get("title"):
        figure.suptitle(label(str(data["title"])), fontsize=12)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, group in zip(grid, panels, strict=False):
        _panel(axes, group, data)
    for axes in grid[len(panels) :]:
        axes.remove()
    return figure


def _panel(axes: Any, group: str, data: Mapping[str, Any]) -> None:
    series: Mapping[str, Any] = data["panels"][group]
    words, units = data.get("words", {}), data.get("units", {})
    for place, (name, points) in zip(_places(list(series), data), series.items(), strict=True):
        _curve(axes, points, place, label(str(words.get(name, name))))
    axes.set_title(label(group))
    axes.set_xlabel("step")
    axes.set_ylabel(label(str(units.get(group, group))))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.margins(x=0.02)
    axes.grid()
    if len(series) > 1 or not group.endswith(next(iter(series))):
        axes.legend(frameon=True, framealpha=0.7, edgecolor="none", borderpad=0.2)


def _places(names: Sequence[str], data: Mapping[str, Any]) -> list[int]:
    given: Mapping[str, int] = data.get("colors", {})
    return [given.get(name, place) for name, place in zip(names, places(names), strict=True)]


def _curve(axes: Any, points: Mapping[str, Sequence[float]], place: int, words: str) -> None:
    own, steps = look(place), points["step"]
    every = 1 if len(steps) < FEW else (place * 3 % MARKS, max(1, len(steps) // MARKS))
    style = {"color": own.color, "linestyle": own.line, "marker": own.marker, "markersize": 4}
    axes.plot(steps, points["value"], label=words, markevery=every, **style)
    if "low" in points:
        axes.fill_between(steps, points["low"], points["high"], color=own.color, alpha=0.18, linewidth=0)
