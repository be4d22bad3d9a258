"""Plots without pyplot, which keeps global state: an empty one in our style, and what is made of it.

matplotlib is imported by the first of them, so that a run does not begin with it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pluglab.errors import UserError
from pluglab.storage.atomic import write_file
from pluglab.style import INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Plot

DPI = 120  # of pixels in a run; a paper wants 300
SUFFIXES = ".svg", ".pdf", ".png"
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "legend.fontsize": 9,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#5a5a5a",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#e2e2e2",
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.constrained_layout.h_pad": 0.08,
    "pdf.fonttype": 42,  # letters as letters: journals ask for it
    "svg.hashsalt": "pluglab",  # the same plot is the same file
}


@contextmanager
def styled() -> Iterator[None]:
    """What is drawn inside has the style of all plots, whatever the reader's matplotlib is set to."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)  # type: ignore[arg-type]
        yield


def new_plot(width: float, height: float, dpi: float = DPI) -> Plot:
    """An empty plot of `width` x `height` inches, laid out so that nothing overlaps."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Plot

    figure = Plot(figsize=(width, height), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def render(figure: Plot) -> np.ndarray:
    """The plot as uint8 H x W x 3."""
    canvas: Any = figure.canvas
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def save(figure: Plot, path: Path) -> Path:
    """The plot as a file of the kind that its suffix names: all of it or nothing. Raises `UserError`."""
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path.name}: a plot can be saved as {', '.join(SUFFIXES)}")
    buffer = io.BytesIO()
    # Without a date, so that a plot that is drawn again is the same file.
    dates = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    figure.savefig(
        buffer, format=path.suffix[1:], dpi=figure.dpi, metadata=dates.get(path.suffix), facecolor="white"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, buffer.getvalue())
    return path


def label(name: str) -> str:
    """A name as it is: matplotlib reads formulas between dollars, and hides what begins with a line."""
    escaped = name.replace("$", r"\$")
    return f" {escaped}" if escaped.startswith("_") else escaped


def bare(axes: Any) -> None:
    """Take ticks away where positions mean nothing; a frame on all sides holds the points together."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[["top", "right"]].set_visible(True)
