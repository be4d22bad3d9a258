"""Plots as uint8 arrays. They are drawn without pyplot, which keeps global state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Plot

# Ten colors that remain apart for color-blind readers (Petroff 2021, arXiv:2107.02270).
COLORS = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6",
    "#a96b59", "#e76300", "#717581", "#92dadd", "#b9ac70",
)  # fmt: skip
ROLES = ("source", "target")  # each has a color of its own, the same in every picture
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "<", ">", "p")
DPI = 120


def new_figure(width: float, height: float) -> Plot:
    """An empty plot of `width` x `height` inches, 120 dots an inch, laid out so that nothing overlaps."""
    figure = Plot(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def render(figure: Plot) -> np.ndarray:
    """The plot as uint8 H x W x 3."""
    canvas: Any = figure.canvas
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def style(index: int, name: str = "") -> dict[str, Any]:
    """Color and marker of series `index`; a name of one sign is its own marker, readable without color."""
    marker = f"${name}$" if len(name) == 1 and name.isalnum() else MARKERS[index % len(MARKERS)]
    return {"color": COLORS[index % len(COLORS)], "marker": marker}


def places(names: Sequence[str]) -> list[int]:
    """The place of each series among the colors: 'source' has the first, 'target' the second.

    'source/train' counts as 'source'. What is no role takes those that are left, in order.
    """
    roles = [name.partition("/")[0] for name in names]
    reserved = len(ROLES) if any(role in ROLES for role in roles) else 0
    found: list[int] = []
    for role in roles:
        own = ROLES.index(role) if role in ROLES else reserved
        found.append(own if own not in found else max(reserved, *(i + 1 for i in found)))
    return found


def label(name: str) -> str:
    """A name as it is: matplotlib reads formulas between dollars, and hides what begins with a line."""
    escaped = name.replace("$", r"\$")
    return f" {escaped}" if escaped.startswith("_") else escaped


def bare(axes: Any) -> None:
    """Take ticks away where positions mean nothing."""
    axes.set_xticks([])
    axes.set_yticks([])
