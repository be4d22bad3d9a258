"""Plots of kind 'matrix': counts of pairs, in percent of each row.

Keys: `classes`, K names; `counts`, K rows of K' >= K numbers, where a column beyond the classes is named by
its number; `title`; `x` and `y`, the words at the axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Plot

from pluglab.style import INK
from pluglab_plots.canvas import label, new_plot

ANNOTATED = 20  # columns; more are colors only
DARK = 55  # percent, from where letters are white


def draw(data: Mapping[str, Any], dpi: float) -> Plot:
    """The matrix, with its percentages up to 20 columns."""
    counts, names = np.asarray(data["counts"], dtype=float), [str(name) for name in data["classes"]]
    share = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    rows, columns = share.shape
    side = min(14.0, max(6.0, 0.55 * columns + 1.5))
    figure = new_plot(side + 0.8, side, dpi)
    axes = figure.subplots()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=100, interpolation="nearest")
    ticks = [label(names[i]) if i < len(names) else str(i) for i in range(columns)]
    axes.set_xticks(range(columns), ticks, rotation=_tilt(names))
    axes.set_yticks(range(rows), list(map(label, names)))
    axes.set_xlabel(label(str(data.get("x", "predicted class"))))
    axes.set_ylabel(label(str(data.get("y", "true class"))))
    axes.set_title(label(str(data.get("title", ""))))
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.colorbar(image, ax=axes, shrink=0.8, label="% of the true class").outline.set_visible(False)
    if columns <= ANNOTATED:
        _annotate(axes, share)
    return figure


def _tilt(names: Sequence[str]) -> int:
    return 90 if max(map(len, names)) > 3 else 0


def _annotate(axes: Any, share: np.ndarray) -> None:
    for (i, j), value in np.ndenumerate(share):
        if value > 0:
            text = f"{value:.0f}" if value >= 9.95 else f"{value:.1f}"
            color = "white" if value > DARK else INK
            axes.text(j, i, text, ha="center", va="center", fontsize=8, color=color)
