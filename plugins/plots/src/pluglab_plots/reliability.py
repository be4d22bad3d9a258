"""Plots of kind 'reliability': how often predictions of one confidence are right. Guo et al. 2017, figure 1.

Keys: `bins`, a list of `low`, `high`, `count`, and, where the count is not 0, `confidence` and `accuracy`,
all shares from 0 to 1; `title`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure as Plot

from pluglab.style import INK, look
from pluglab_plots.canvas import label, new_plot


def draw(data: Mapping[str, Any], dpi: float) -> Plot:
    """A bar a bin, as high as its accuracy, against the diagonal; below, how many predictions it holds."""
    bins = [one for one in data["bins"] if one["count"]]
    figure = new_plot(6.0, 6.4, dpi)
    above, below = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    _bars(above, bins, [one["accuracy"] for one in bins])
    above.plot([0, 1], [0, 1], color=INK, linestyle="--", linewidth=1, label="calibrated")
    above.plot(
        *zip(*((one["confidence"], one["accuracy"]) for one in bins), strict=True),
        color=look(1).color,
        marker="o",
        linestyle="none",
        label="mean confidence of a bin",
    )
    above.set(xlim=(0, 1), ylim=(0, 1), ylabel="share of right predictions")
    above.set_title(label(str(data.get("title", ""))))
    above.legend(loc="upper left")
    _bars(below, bins, [one["count"] for one in bins])
    below.set(xlabel="confidence", ylabel="predictions")
    return figure


def _bars(axes: Any, bins: list[Mapping[str, Any]], heights: list[float]) -> None:
    widths = [one["high"] - one["low"] for one in bins]
    lows = [one["low"] for one in bins]
    axes.bar(lows, heights, widths, align="edge", color=look(0).color, edgecolor="white", alpha=0.85)
    axes.grid(axis="y")
