"""Plots of kind 'points': points of a plane, as t-SNE makes them, in series or as the pictures themselves.

Keys: `x` and `y`, N numbers each; `by`, the key of the series' names, N each, None for a point of none;
`series`, the names in their order, all of them looking the same in every picture; `words`, what the legend
calls a series; `title`. With `thumbnails` (see `pluglab_plots.sprites`) `by` may be left out: the pictures
stand for the points, and what would lie under another is a dot.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Plot
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from pluglab.style import UNKNOWN, look, places
from pluglab_plots.canvas import DPI, bare, label, new_plot
from pluglab_plots.sprites import cut, spread

FEW = 3  # series, whose legend is below
SIDE = 34  # pixels that a thumbnail is about as large as, at 120 dots an inch


def draw(data: Mapping[str, Any], dpi: float) -> Plot:
    """A square of points without axes: places mean nothing but by their neighbors."""
    figure = new_plot(8.2, 7.4, dpi)
    axes = figure.subplots()
    plane = np.stack([np.asarray(data["x"], dtype=float), np.asarray(data["y"], dtype=float)], axis=1)
    axes.set_aspect("equal", adjustable="datalim")
    bare(axes)
    axes.set_title(label(str(data.get("title", ""))))
    if "by" in data:
        _series(figure, axes, plane, data)
    else:
        _pictures(axes, plane, data, dpi)
    return figure


def _series(figure: Plot, axes: Any, plane: np.ndarray, data: Mapping[str, Any]) -> None:
    names = np.asarray(data[data["by"]], dtype=object)
    words, handles = data.get("words", {}), []
    hidden = np.array([name is None for name in names])
    if hidden.any():  # first, so that they lie below the others
        axes.scatter(*plane[hidden].T, s=20, color=UNKNOWN, marker=".", linewidths=0)
        handles.append(_handle(".", UNKNOWN, "no label"))
    known = [name for name in data["series"] if (names == name).any()]
    whole = dict(zip(data["series"], places(list(data["series"])), strict=True))
    for name in known:
        own, own_words = look(whole[name]), str(words.get(name, name))
        glyph = len(name) == 1 and name.isalnum()
        style = {"color": own.color, "marker": f"${name}$" if glyph else own.marker}
        axes.scatter(*plane[names == name].T, s=34, linewidths=0.4, alpha=_alpha(len(known)), **style)
        handles.append(_handle("o" if glyph else own.marker, own.color, own_words))
    if len(handles) <= FEW:
        figure.legend(handles=handles, loc="outside lower center", ncols=FEW)
    else:
        figure.legend(handles=handles, loc="outside right center")


def _alpha(count: int) -> float:
    """Of few series many points lie on each other."""
    return 0.7 if count <= FEW else 1.0


def _handle(marker: str, color: str, words: str) -> Line2D:
    return Line2D([], [], linestyle="none", marker=marker, markersize=8, color=color, label=label(words))


def _pictures(axes: Any, plane: np.ndarray, data: Mapping[str, Any], dpi: float) -> None:
    sheet = data["thumbnails"]
    axes.scatter(*plane.T, s=8, color=UNKNOWN, linewidths=0)
    axes.margins(0.06)
    rows, images = sheet["rows"], cut(sheet)
    for chosen in spread(plane[rows]):
        row, image = rows[chosen], images[chosen]
        enlarged = max(1, round(SIDE * dpi / DPI / max(image.shape[:2])))
        box = OffsetImage(image, zoom=enlarged, dpi_cor=False, interpolation="nearest")
        axes.add_artist(AnnotationBbox(box, plane[row], frameon=False, pad=0))
