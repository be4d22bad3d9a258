"""Pictures as uint8 arrays. Figures are drawn without pyplot, which keeps global state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from pluglab.data import to_uint8
from pluglab.figures import sheet

# Ten colours that remain apart for colour-blind readers (Petroff 2021, arXiv:2107.02270).
COLOURS = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6",
    "#a96b59", "#e76300", "#717581", "#92dadd", "#b9ac70",
)  # fmt: skip
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "<", ">", "p")
DPI = 120


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of `width` x `height` inches, 120 dots an inch, laid out so that nothing overlaps."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def render(figure: Figure) -> np.ndarray:
    """The figure as uint8 H x W x 3."""
    canvas: Any = figure.canvas
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def pixels(image: Tensor) -> np.ndarray:
    """One float C x H x W image in [-1, 1] as uint8 H x W x 3."""
    array = to_uint8(image).cpu().permute(1, 2, 0).numpy()
    return np.broadcast_to(array, (*array.shape[:2], 3)) if array.shape[2] == 1 else array[..., :3]


def style(index: int, name: str = "") -> dict[str, Any]:
    """Colour and marker of series `index`; a name of one sign is its own marker, readable without colour."""
    marker = f"${name}$" if len(name) == 1 and name.isalnum() else MARKERS[index % len(MARKERS)]
    return {"color": COLOURS[index % len(COLOURS)], "marker": marker}


def bare(axes: Any) -> None:
    """Take ticks away where positions mean nothing."""
    axes.set_xticks([])
    axes.set_yticks([])


def image_rows(rows: Sequence[tuple[str, Tensor, Sequence[str]]], title: str) -> np.ndarray:
    """Rows of images, each (name, float N x C x H x W in [-1, 1], N captions or none)."""
    columns = max(len(images) for _, images, _ in rows)
    figure = new_figure(max(6.0, 0.95 * columns + 0.8), 1.15 * len(rows) + 0.5)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for line, (name, images, captions) in zip(grid, rows, strict=True):
        for axes, image in zip(line, images, strict=False):
            axes.imshow(pixels(image), interpolation="nearest")
        for axes, caption in zip(line, captions, strict=False):
            axes.set_xlabel(caption, fontsize=8, labelpad=2)
        for axes in line:
            bare(axes)
        line[0].set_ylabel(name, fontsize=9)
    figure.suptitle(title, fontsize=11)
    return render(figure)


def grid(images: Tensor, columns: int, row_names: Sequence[str] = (), width: int = 720) -> np.ndarray:
    """Float N x C x H x W in [-1, 1] row by row, enlarged by a whole factor."""
    page = sheet(to_uint8(images), columns, width)
    return _named(page, row_names) if row_names else page


def _named(page: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """The page with the rows' names to its left."""
    height, _, _ = page.shape
    room = 0.35 + 0.09 * max(map(len, names))
    figure = Figure(figsize=(room, height / DPI), dpi=DPI)
    FigureCanvasAgg(figure)
    for i, name in enumerate(names):
        figure.text(0.9, 1 - (i + 0.5) / len(names), name, ha="right", va="center", fontsize=10)
    return np.concatenate([render(figure)[:height], page], axis=1)
