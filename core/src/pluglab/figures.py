"""Pictures as uint8 arrays: grids of many images with words around them, PNG and GIF files."""

from __future__ import annotations

import io
import json
import math
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from html import escape
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from pluglab.images import to_uint8
from pluglab.plain import plain
from pluglab.protocols import Figure
from pluglab.style import colors_of

WHITE = (255, 255, 255)
GAP = 2  # white pixels around each image of a grid
TITLE, TEXT, CAPTION = 16, 13, 12  # sizes of letters in pixels
MARGIN = 6  # pixels beside words
FILM_SECONDS, FRAME_MS, LAST_FRAME_MS = 8, (40, 400), 2000

Row = tuple[str, Tensor, Sequence[str]]
"""A row of a picture: its name, N x C x H x W images, and captions below them, N or none."""


def image_grid(
    images: Tensor,
    columns: int,
    *,
    width: int = 720,
    row_names: Sequence[str] = (),
    captions: Sequence[str] = (),
    title: str = "",
) -> np.ndarray:
    """Images row by row on white: float N x C x H x W in [-1, 1], or uint8, to uint8 H x W x 3.

    The channels of images that are neither gray nor in color stand side by side, in gray.
    They are enlarged by a whole factor, so that the page is about `width` pixels wide without its words.
    """
    parts = zip_longest(images.split(columns), row_names, fillvalue="")
    rows = [
        (str(name), part, captions[i * columns : i * columns + columns])
        for i, (part, name) in enumerate(parts)
        if isinstance(part, Tensor)
    ]
    return image_rows(rows, title=title, width=width)


def image_rows(rows: Sequence[Row], *, title: str = "", width: int = 720) -> np.ndarray:
    """Rows of images, each with a name to its left and captions below: uint8 H x W x 3."""
    page = _Page(rows, title, width)
    return page.draw()


class _Page:
    """Where everything is on a picture of rows."""

    def __init__(self, rows: Sequence[Row], title: str, width: int) -> None:
        self.rows = [(name, in_color(images), captions) for name, images, captions in rows]
        self.title = title
        self.columns = max(len(images) for _, images, _ in rows)
        _, _, high, wide = self.rows[0][1].shape
        self.factor = max(1, -(-width // (self.columns * wide)))
        texts = [_width(text, CAPTION) + MARGIN for _, _, captions in rows for text in captions]
        self.cell = max([self.factor * wide, *texts]) + GAP
        names = [_width(name, TEXT) for name, _, _ in rows if name]
        self.height = max(self.factor * high, TEXT + MARGIN if names else 0) + GAP
        self.left = max(names) + 2 * MARGIN if names else 0
        self.top = TITLE + 2 * MARGIN if title else 0

    def draw(self) -> np.ndarray:
        heights = [self.height + (CAPTION + MARGIN if captions else 0) for _, _, captions in self.rows]
        room = _width(self.title, TITLE) + 2 * MARGIN if self.title else 0
        size = max(room, self.left + self.columns * self.cell + GAP), self.top + sum(heights) + GAP
        canvas = Image.new("RGB", size, WHITE)
        pen = ImageDraw.Draw(canvas)
        pen.text((MARGIN, MARGIN), self.title, "black", _font(TITLE))
        top = self.top + GAP
        for row, height in zip(self.rows, heights, strict=True):
            self._row(canvas, pen, row, top)
            top += height
        return np.asarray(canvas)

    def _row(self, canvas: Image.Image, pen: ImageDraw.ImageDraw, row: Row, top: int) -> None:
        name, images, captions = row
        middle = top + (self.height - GAP) // 2
        pen.text((self.left - MARGIN, middle), name, "black", _font(TEXT), anchor="rm")
        for index, image in enumerate(_enlarged(images, self.factor)):
            left = self.left + GAP + index * self.cell
            picture = Image.fromarray(image)
            corner = left + (self.cell - GAP - picture.width) // 2, middle - picture.height // 2
            canvas.paste(picture, corner)
        for index, caption in enumerate(captions):
            center = self.left + GAP + index * self.cell + (self.cell - GAP) // 2
            pen.text((center, top + self.height), caption, "black", _font(CAPTION), anchor="ma")


def in_color(images: Tensor) -> Tensor:
    """Images of any channels as uint8 N x 3 x H x W on the CPU: gray and color ones as they are.

    Of any other number nobody knows the colors: N x 3 x H x C W, the channels in gray, side by side.
    """
    eight = (to_uint8(images) if images.is_floating_point() else images).cpu()
    if eight.shape[1] not in (1, 3):
        eight = eight.transpose(1, 2).flatten(2).unsqueeze(1)
    return eight.expand(-1, 3, -1, -1)


def _enlarged(images: Tensor, factor: int) -> np.ndarray:
    """uint8 N x 3 x H x W as N x H x W x 3, every pixel a square of `factor`."""
    large = images.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    return large.permute(0, 2, 3, 1).contiguous().numpy()


@lru_cache
def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def _width(text: str, size: int) -> int:
    length: float = _font(size).getlength(text)
    return math.ceil(length)


def side_by_side(
    pictures: Mapping[str, Path], page: float = 1.5, *, among: Iterable[str] = ()
) -> Image.Image:
    """Picture files in rows, each under its title; the whole about `page` times as wide as high.

    Beside a title is a square of the color that curves give it, `among` all titles of an experiment.
    """
    images = []
    for path in pictures.values():
        with Image.open(path) as file:
            images.append(file.convert("RGB"))
    size, margin = 26, 12
    indent = size + margin
    titles = [_width(title, size) + indent for title in pictures]
    width = max(*titles, *(image.width for image in images)) + margin
    height = max(image.height for image in images) + margin + size + margin
    columns = _columns(len(images), width / height, page)
    rows = -(-len(images) // columns)
    canvas = Image.new("RGB", (columns * width + margin, rows * height + margin), WHITE)
    pen = ImageDraw.Draw(canvas)
    colors = colors_of([*among, *pictures])
    for index, (title, image) in enumerate(zip(pictures, images, strict=True)):
        left, top = margin + index % columns * width, margin + index // columns * height
        pen.rectangle((left, top, left + size - 1, top + size - 1), colors[title])
        pen.text((left + indent, top + size // 2), title, "black", _font(size), anchor="lm")
        canvas.paste(image, (left, top + size + margin))
    return canvas


def _columns(count: int, shape: float, page: float) -> int:
    """How many cells of a width-to-height `shape` go in a row: few empty ones, and the page as wanted.

    Two are always beside each other.
    """

    def waste(columns: int) -> float:
        rows = -(-count // columns)
        return abs(math.log(columns * shape / rows / page)) + (rows * columns - count) / count

    return min(range(min(2, count), count + 1), key=waste)


# Files -----------------------------------------------------------------------------------------------


def save_array(array: np.ndarray, stem: Path) -> Path:
    """uint8 H x W x 3 as PNG, T x H x W x 3 as GIF."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    if array.ndim == 3:
        path = stem.with_name(stem.name + ".png")
        Image.fromarray(array).save(path)
        return path
    path = stem.with_name(stem.name + ".gif")
    path.write_bytes(encode_gif(array))
    return path


def save_figure(figure: Figure, stem: Path) -> dict[str, str]:
    """The picture, and its data as JSON beside it. Returns the files' names and the caption."""
    saved = {"file": save_array(figure.array, stem).name, "caption": figure.caption}
    if figure.data is not None:
        path = stem.with_name(stem.name + ".json")
        path.write_text(json.dumps(plain(figure.data)), encoding="utf-8")
        saved["data"] = path.name
    return saved


def html_image(array: np.ndarray, alt: str = "") -> str:
    """A picture as an HTML element with everything inside."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{b64encode(buffer.getvalue()).decode()}">'


def encode_gif(frames: np.ndarray) -> bytes:
    """uint8 T x H x W x 3 as an endless film of some seconds, the last frame held."""
    pictures = [Image.fromarray(frame) for frame in frames]
    pace = min(max(1000 * FILM_SECONDS // len(pictures), FRAME_MS[0]), FRAME_MS[1])
    times = [*[pace] * (len(pictures) - 1), LAST_FRAME_MS]
    buffer = io.BytesIO()
    pictures[0].save(
        buffer, "GIF", save_all=True, append_images=pictures[1:], duration=times, loop=0, disposal=1
    )
    return buffer.getvalue()
