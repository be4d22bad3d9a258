"""A folder of picture files as a tensor, and tensors as evaluators read them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pluglab.data import Images, to_float
from pluglab.data.image_files import SUFFIXES, files_below, read_picture, to_rgb
from pluglab.errors import UserError
from pluglab.images import ImageSpec

NAMED = 5  # files that a message names
GRAY = ("1", "L")  # modes of PIL


def pictures_below(folder: Path) -> list[str]:
    """The names of the picture files at any depth. Raises `UserError` where there are none."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder")
    files = [name for name in files_below(folder) if name.lower().endswith(SUFFIXES)]
    if not files:
        help = [f"it should hold files that end in {', '.join(SUFFIXES)}, at any depth"]
        raise UserError(f"{folder} holds no images", help=help)
    return files


def tell_damaged(damaged: Sequence[str], count: int) -> None:
    """Warn of files that are no images."""
    if damaged:
        named = ", ".join(damaged[:NAMED]) + (", ..." if len(damaged) > NAMED else "")
        warnings.warn(
            f"{len(damaged):,} of {count:,} files cannot be read as an image: {named}", stacklevel=3
        )


def read_folder(folder: Path, size: int | None, track: Callable[[str, int], Any]) -> tuple[list[str], Tensor]:
    """The names of the images and their pixels, uint8 N x C x H x W, as they are or resized to a square.

    Gray where all are gray. Raises `UserError` for images of several sizes.
    """
    files = pictures_below(folder)
    read = partial(_pixels, size=size)
    with track(f"reading {folder}", len(files)) as bar, ThreadPoolExecutor() as pool:
        found: list[np.ndarray | None] = []
        for pixels in pool.map(read, (folder / name for name in files)):
            found.append(pixels)
            bar.advance()
    whole = {name: pixels for name, pixels in zip(files, found, strict=True) if pixels is not None}
    tell_damaged([name for name in files if name not in whole], len(files))
    return list(whole), _stacked(folder, list(whole.values()))


def _stacked(folder: Path, images: Sequence[np.ndarray]) -> Tensor:
    if not images:
        raise UserError(f"no image in {folder} can be read")
    sizes = sorted({image.shape[1:] for image in images})
    if len(sizes) > 1:
        some = ", ".join(f"{width} x {height}" for height, width in sizes[:NAMED])
        raise UserError(
            f"{folder} holds images of several sizes: {some}", help=["--size N resizes all of them"]
        )
    channels = max(len(image) for image in images)
    return torch.from_numpy(np.stack([np.broadcast_to(image, (channels, *sizes[0])) for image in images]))


def _pixels(path: Path, size: int | None) -> np.ndarray | None:
    """uint8 C x H x W of a file, one channel of a gray one; None for a file that is no image."""
    try:
        with Image.open(path) as file:
            channels = 1 if file.mode in GRAY and "transparency" not in file.info else 3
            if size is not None:
                return read_picture(path, ImageSpec(channels, size, size, 1))
            image = to_rgb(file)
        if channels == 1:
            return np.asarray(image.convert("L"))[None]
        return np.asarray(image).transpose(2, 0, 1)
    except UserError:
        raise
    except Exception:  # PIL raises many kinds for a file that is no image
        return None


@dataclass(frozen=True)
class Split:
    """Images as an evaluator is given them: a `pluglab.protocols.EvaluationData` without transforms."""

    role: str
    split: str
    dataset: str
    images: Images

    @property
    def spec(self) -> ImageSpec:
        return self.images.spec

    @property
    def digest(self) -> str:
        return self.images.digest

    @property
    def labeled(self) -> bool:
        return self.images.labels is not None

    @property
    def labels(self) -> Tensor:
        if self.images.labels is None:
            raise UserError(f"{self.dataset} has no labels")
        return self.images.labels

    def batches(self, size: int = 500, limit: int | None = None) -> Iterator[Tensor]:
        return (to_float(part) for part in self.raw(limit).split(size))

    def raw(self, limit: int | None = None) -> Tensor:
        return self.images.pixels[:limit]
