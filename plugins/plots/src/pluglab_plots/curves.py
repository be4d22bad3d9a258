"""Plots of kind 'curves': values against steps, a panel a group, all with one axis of steps.

Keys: `panels`, a panel's title to its series: name to `step` and `value`, lists of one length, and where
there is a band around the values `low` and `high`. `units` are the words at a panel's values, `words` those
of a series in the legend, `colors` the places of series in the style (`pluglab.style.look`), `groups` the
group that a panel is a part of, all by name and all optional. `columns`: panels a row; `title`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill, wrap
from typing import Any

from matplotlib.figure import Figure as Plot
from matplotlib.ticker import EngFormatter

from pluglab.style import look, places
from pluglab_plots.canvas import label, new_plot

FEW = 25  # points, which are marked one by one
MARKS = 8  # on a longer curve, so that it is known without its color
WIDTH, HEIGHT, NARROWEST = 4.2, 3.3, 6.5  # inches of a panel; of the picture
SMALL = 4, 18  # series, and letters of their names, that a legend between the curves may have
LETTERS, HANDLE, LINE = 46, 7, 0.19  # a legend below: letters in a line, those that a sign is wide; inches


def draw(data: Mapping[str, Any], dpi: float) -> Plot:
    """The panels in rows."""
    panels: Mapping[str, Any] = data["panels"]
    columns = max(1, min(int(data.get("columns", 3)), len(panels)))
    rows = -(-len(panels) // columns)
    narrowest = NARROWEST if data.get("title") else WIDTH
    below = [_height(_names(series, data)) for name, series in panels.items() if _has_legend(name, series)]
    figure = new_plot(max(narrowest, WIDTH * columns), (HEIGHT + max(below, default=0.0)) * rows, dpi)
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
    units = data.get("units", {})
    found = zip(_places(list(series), data), _names(series, data), series.values(), strict=True)
    for place, name, points in found:
        _curve(axes, points, place, name)
    axes.set_title(label(group))
    axes.set_xlabel("step")
    axes.set_ylabel(label(str(units.get(group, group))))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.margins(x=0.02)
    axes.grid()
    if _has_legend(group, series):
        _legend(axes, _names(series, data))


def _has_legend(group: str, series: Mapping[str, Any]) -> bool:
    return len(series) > 1 or not group.endswith(next(iter(series)))


def _names(series: Mapping[str, Any], data: Mapping[str, Any]) -> list[str]:
    words = data.get("words", {})
    return [label(str(words.get(name, name))) for name in series]


def _legend(axes: Any, names: Sequence[str]) -> None:
    """Between the curves, where it is small; else below, where it covers none."""
    if _is_small(names):
        axes.legend(frameon=True, framealpha=0.7, edgecolor="none", borderpad=0.2)
        return
    handles, _ = axes.get_legend_handles_labels()
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2), "borderaxespad": 0.0}
    axes.legend(handles, [fill(name, LETTERS) for name in names], ncols=_columns(names), **below)


def _is_small(names: Sequence[str]) -> bool:
    return len(names) <= SMALL[0] and max(map(len, names)) <= SMALL[1]


def _columns(names: Sequence[str]) -> int:
    return max(1, (LETTERS + HANDLE) // (min(LETTERS, max(map(len, names))) + HANDLE))


def _height(names: Sequence[str]) -> float:
    """Inches that the legend takes below the panel."""
    if _is_small(names):
        return 0.0
    columns = _columns(names)
    lines = [len(wrap(name, LETTERS)) for name in names]
    per_column = -(-len(names) // columns)
    return LINE * max(sum(lines[i : i + per_column]) for i in range(0, len(names), per_column))


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
