"""From the bytes of a picture in whatever format to a square uint8 array."""

from __future__ import annotations

from io import BytesIO
from typing import Literal

import numpy as np
from PIL import Image, ImageColor, ImageOps
from pydantic import Field

from pluglab.components import Options
from pluglab.data import to_rgb
from pluglab.errors import UserError

FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}


class FramingOptions(Options):
    size: int = Field(64, ge=4, le=2048)
    """Height and width of the images, in pixels."""
    channels: Literal[1, 3] = 3
    """3 for color, 1 for gray (luma)."""
    fit: Literal["crop", "pad", "stretch"] = "crop"
    """How an image becomes square: its center is cut out, background is added, or it is distorted."""
    filter: Literal["bicubic", "bilinear", "lanczos", "nearest"] = "bicubic"
    """Resampling, anti-aliased where images shrink; 'nearest' keeps the colors of pixel art."""
    background: str = "white"
    """Color behind transparent pixels and beside padded images: a CSS name or '#rrggbb'."""
    upscale: bool = False
    """Enlarge images that are smaller than `size`; otherwise they are an error."""


class Framing:
    """Decodes, turns upright, fills transparency, makes square and resizes.

    Raises `UserError` at construction for a color that there is not.
    """

    def __init__(self, options: FramingOptions) -> None:
        self.options, self.filter = options, FILTERS[options.filter]
        try:
            self.background = ImageColor.getrgb(options.background)[:3]
        except ValueError as error:
            help = ["write a name such as 'black', or '#rrggbb'"]
            raise UserError(f"'{options.background}' is no color", help=help) from error

    def __call__(self, data: bytes, name: str) -> np.ndarray:
        """uint8 C x size x size of a file's bytes.

        Raises `UserError` for an image that is too small, and whatever PIL raises for one that is damaged.
        """
        with Image.open(BytesIO(data)) as file:
            image = to_rgb(file, self.background)
        self._check_size(image, name)
        image = self._squared(image)
        if self.options.channels == 1:
            return np.asarray(image.convert("L"))[None]
        return np.asarray(image).transpose(2, 0, 1)

    def _check_size(self, image: Image.Image, name: str) -> None:
        side = max(image.size) if self.options.fit == "pad" else min(image.size)
        if side < self.options.size and not self.options.upscale:
            width, height = image.size
            help = [f"ask for `size = {side}` or less", "`upscale = true` enlarges what is smaller"]
            message = f"{name} has {width} x {height} pixels, too few for size {self.options.size}"
            raise UserError(message, help=help)

    def _squared(self, image: Image.Image) -> Image.Image:
        size = (self.options.size, self.options.size)
        if self.options.fit == "pad":
            return ImageOps.pad(image, size, self.filter, color=self.background)
        return image.resize(size, self.filter, box=self._box(*image.size))

    def _box(self, width: int, height: int) -> tuple[int, int, int, int]:
        if self.options.fit == "stretch":
            return 0, 0, width, height
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        return left, top, left + side, top + side
