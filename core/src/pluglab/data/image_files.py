"""Picture files of any kind read as arrays, and arrays written as PNG files."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from torch import Tensor

from pluglab.errors import RunError, UserError
from pluglab.images import ImageSpec

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif"),
    *(".tif", ".tiff", ".jp2", ".avif", ".ppm", ".pgm", ".pbm", ".pnm"),
)


def is_hidden(name: str) -> bool:
    """Whether a file is one of the system's: archives made on a Mac hold a ._name for every name, and a
    folder of them in a zip."""
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def files_below(folder: Path) -> list[str]:
    """The names of all files at any depth, with forward slashes, sorted; hidden ones are left out.

    Links are followed, but not into a folder that they lie in. Raises `OSError`.
    """
    found = (path.relative_to(folder).as_posix() for path in _walk(folder, frozenset()))
    return sorted(name for name in found if not is_hidden(name))


def _walk(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in above:
        return
    for entry in os.scandir(folder):
        if is_hidden(entry.name):
            continue
        if entry.is_dir():
            yield from _walk(folder / entry.name, above | {real})
        elif entry.is_file() or not (folder / entry.name).exists():  # a link that leads nowhere is a file
            yield folder / entry.name


def to_rgb(image: Image.Image, background: tuple[int, ...] = (255, 255, 255)) -> Image.Image:
    """A decoded picture upright and in red, green and blue; the background shows where it is transparent.

    Raises `ValueError` for pixels whose black and white nobody knows.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers")
    if image.mode.startswith("I"):  # 16 bits a pixel, which PIL would clip
        image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    if "A" not in image.getbands() and "transparency" not in image.info:
        return image.convert("RGB")
    canvas = Image.new("RGBA", image.size, (*background, 255))
    return Image.alpha_composite(canvas, image.convert("RGBA")).convert("RGB")


def read_picture(path: Path, spec: ImageSpec) -> np.ndarray:
    """uint8 C x H x W of a file, its center resized to the shape. Raises what PIL does for a damaged one, and
    `UserError` for a shape that is neither gray nor color."""
    if spec.channels not in (1, 3):
        message = f"image files are read in one channel or three, and these images have {spec.channels}"
        raise UserError(message)
    with Image.open(path) as file:
        image = to_rgb(file)
    image = ImageOps.fit(image, (spec.width, spec.height), Image.Resampling.BICUBIC)
    if spec.channels == 1:
        return np.asarray(image.convert("L"))[None]
    return np.asarray(image).transpose(2, 0, 1)


PNG_CHANNELS = 4


class PngFolder:
    """Writes images as PNG files on threads of its own, so that whoever makes them need not wait.

    A context manager; at its end every file is there. At most `ahead` batches wait to be written. The
    folder is made with the first of them. Raises `RunError` where a file cannot be written.
    """

    def __init__(self, folder: Path, workers: int = 2, ahead: int = 4) -> None:
        self.folder, self.ahead = folder, ahead
        self._pool = ThreadPoolExecutor(workers)
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> PngFolder:
        return self

    def write(self, names: Sequence[str], images: Tensor) -> None:
        """uint8 N x C x H x W on the CPU, under these names. Raises `UserError` for what is no PNG file."""
        if images.shape[1] > PNG_CHANNELS:
            message = (
                f"a PNG file has at most {PNG_CHANNELS} channels, and these images have {images.shape[1]}"
            )
            raise UserError(message, help=["`pluglab.load(RUN).sample(...)` gives them as a tensor"])
        self._wait(self.ahead - 1)
        self._waiting.append(self._pool.submit(self._write, names, images))

    def _wait(self, left: int) -> None:
        while len(self._waiting) > left:
            self._waiting.popleft().result()

    def _write(self, names: Sequence[str], images: Tensor) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name, image in zip(names, images.permute(0, 2, 3, 1).numpy(), strict=True):
                Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(self.folder / name)
        except OSError as error:
            raise RunError(f"{self.folder} cannot be written: {error.strerror or error}") from error

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None:
                self._wait(0)
        finally:
            self._pool.shutdown(cancel_futures=True)
