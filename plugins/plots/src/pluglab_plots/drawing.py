"""A plot from its data, whatever its kind."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluglab import Figure, UserError
from pluglab_plots.canvas import DPI, render, save, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Plot

KINDS = {"points": "points", "curves": "curves", "matrix": "matrices", "reliability": "reliability"}
Data = Mapping[str, Any]


def can_redraw(data: Data | None) -> bool:
    """Whether these data are those of a plot."""
    return data is not None and data.get("plot") in KINDS


def draw(data: Data, dpi: float = DPI) -> Plot:
    """The matplotlib figure. Raises `UserError` for data of no known kind."""
    kind = data.get("plot")
    if kind not in KINDS:
        known = ", ".join(f"'{name}'" for name in KINDS)
        raise UserError(f"these data are no plot: their key 'plot' is {kind!r}, not one of {known}")
    module = importlib.import_module(f"pluglab_plots.{KINDS[kind]}")
    with styled():
        figure: Plot = module.draw(data, dpi)
    return figure


def picture(data: Data, caption: str = "") -> Figure:
    """The plot as what an evaluator returns: pixels, with all that they were drawn from."""
    with styled():
        return Figure(render(draw(data)), caption, data)


def redraw(data: Data, path: str | Path, *, dpi: float = 300) -> Path:
    """Draw a plot of a run again: .svg, .pdf or .png, by the suffix. `dpi` is that of pixels.

    Raises `UserError` for other suffixes, and for data of no known kind.
    """
    with styled():
        return save(draw(data, dpi), Path(path))
