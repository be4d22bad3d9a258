"""uint8 arrays as pictures: sheets of many images, PNG and GIF files."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from torch import Tensor

from pluglab.errors import RunError
from pluglab.images import ImageSpec

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
WHITE = (255, 255, 255)
GAP = 2  # white pixels around each image of a sheet
FILM_SECONDS, FRAME_MS, LAST_FRAME_MS = 8, (40, 400), 2000


def sheet(images: Tensor, columns: int, width: int = 720) -> np.ndarray:
    """uint8 N x C x H x W row by row, on white, as H x W x 3; enlarged by a whole factor to about `width`."""
    count, _, height, wide = images.shape
    factor = max(1, -(-width // (columns * wide)))
    rows, columns = -(-count // columns), min(columns, count)
    h, w = factor * height + GAP, factor * wide + GAP
    page = np.full((rows * h + GAP, columns * w + GAP, 3), 255, np.uint8)
    large = images.cpu().repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    for index, image in enumerate(large.permute(0, 2, 3, 1).numpy()):
        top, left = GAP + index // columns * h, GAP + index % columns * w
        page[top : top + h - GAP, left : left + w - GAP] = image
    return page


def save_picture(figure: np.ndarray, stem: Path) -> Path:
    """uint8 H x W x 3 as PNG, T x H x W x 3 as GIF."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    if figure.ndim == 3:
        path = stem.with_name(stem.name + ".png")
        Image.fromarray(figure).save(path)
        return path
    path = stem.with_name(stem.name + ".gif")
    path.write_bytes(encode_gif(figure))
    return path


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


def flattened(image: Image.Image, background: tuple[int, ...] = WHITE) -> Image.Image:
    """A decoded picture upright and in red, green and blue; the background shows where it is transparent."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits a pixel, which PIL would clip
        image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    if "A" not in image.getbands() and "transparency" not in image.info:
        return image.convert("RGB")
    canvas = Image.new("RGBA", image.size, (*background, 255))
    return Image.alpha_composite(canvas, image.convert("RGBA")).convert("RGB")


def read_picture(path: Path, spec: ImageSpec) -> np.ndarray:
    """uint8 C x H x W of a file, its centre resized to the shape. Raises what PIL does for a damaged one."""
    with Image.open(path) as file:
        image = flattened(file)
    image = ImageOps.fit(image, (spec.width, spec.height), Image.Resampling.BICUBIC)
    if spec.channels == 1:
        return np.asarray(image.convert("L"))[None]
    return np.asarray(image).transpose(2, 0, 1)


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
        """uint8 N x C x H x W on the CPU, under these names."""
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
