"""Small pictures of many images as one text: a sheet of them, PNG in base64, beside the points of a plot.

A sheet is a mapping: `png` the text, `height` and `width` of a picture, `columns` a row, and `rows`, which
points the pictures are of.
"""

from __future__ import annotations

import io
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

LARGEST = 32  # pixels a side; larger images are made smaller by a whole factor
CELLS = 26  # thumbnails that fit beside each other


def sheet(images: np.ndarray, rows: Sequence[int]) -> dict[str, Any]:
    """The sheet of N images uint8 N x H x W x 3, those of the points `rows`."""
    small = shrunk(images)
    count, height, width, _ = small.shape
    columns = max(1, int(np.ceil(np.sqrt(count))))
    canvas = np.full((-(-count // columns) * columns, height, width, 3), 255, np.uint8)
    canvas[:count] = small
    page = canvas.reshape(-1, columns, height, width, 3).swapaxes(1, 2).reshape(-1, columns * width, 3)
    buffer = io.BytesIO()
    Image.fromarray(page).save(buffer, "PNG")
    text = b64encode(buffer.getvalue()).decode()
    return {"png": text, "height": height, "width": width, "columns": columns, "rows": list(map(int, rows))}


def cut(sheet: Mapping[str, Any]) -> list[np.ndarray]:
    """The pictures of a sheet, uint8 H x W x 3 each."""
    page = np.asarray(Image.open(io.BytesIO(b64decode(sheet["png"]))).convert("RGB"))
    height, width, columns = sheet["height"], sheet["width"], sheet["columns"]
    places = [divmod(i, columns) for i in range(len(sheet["rows"]))]
    return [page[r * height : (r + 1) * height, c * width : (c + 1) * width] for r, c in places]


def shrunk(images: np.ndarray) -> np.ndarray:
    """Images of at most 32 pixels a side, each pixel the mean of a whole square of the old ones."""
    factor = max(1, -(-max(images.shape[1:3]) // LARGEST))
    height, width = (side // factor * factor for side in images.shape[1:3])
    squares = images[:, :height, :width].reshape(
        len(images), height // factor, factor, width // factor, factor, 3
    )
    return np.asarray(squares.mean((2, 4)).round().astype(np.uint8))


def spread(plane: np.ndarray) -> list[int]:
    """Of N x 2 points those whose thumbnails cover no other: the first, and each far from those before."""
    near = max(np.ptp(plane, axis=0).max(initial=0), 1e-12) / CELLS
    chosen: list[int] = []
    for i, point in enumerate(plane):
        if not chosen or np.abs(plane[chosen] - point).max(1).min() >= near:
            chosen.append(i)
    return chosen
