"""Pictures read straight from the archives they are published in: BSDS500, and the release of MNIST-M."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from pluglab.errors import UserError
from pluglab.protocols import ProgressBar
from pluglab_datasets.files import reading

PHOTOS = "BSR/BSDS500/data/images"  # below it train, val and test, with 200, 100 and 200 photographs


def _decode(data: bytes, name: str) -> np.ndarray:
    """uint8 H x W x 3. Raises `UserError` for a file that is no image."""
    try:
        return np.asarray(Image.open(BytesIO(data)).convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise UserError(
            f"{name} is no image that can be read: {error}", help=["get the archive again"]
        ) from error


def _pictures(path: Path, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """The archive's files whose name is `wanted`, by name, in one pass over it."""
    with reading(path), tarfile.open(path, "r|*") as archive:
        found = {}
        for member in archive:
            if member.isfile() and wanted(member.name):
                found[member.name] = archive.extractfile(member).read()  # type: ignore[union-attr]
        return dict(sorted(found.items()))


def read_photos(
    path: Path, splits: Sequence[str], track: Callable[[str, int], ProgressBar]
) -> dict[str, list[np.ndarray]]:
    """The photographs of BSDS500, uint8 H x W x 3 each, in the order of their names, for each split."""
    folders = {split: f"{PHOTOS}/{split}/" for split in splits}
    files = _pictures(path, lambda name: name.endswith(".jpg") and name.startswith(tuple(folders.values())))
    photos: dict[str, list[np.ndarray]] = {split: [] for split in splits}
    with track("reading photographs", len(files)) as bar:
        for name, data in files.items():
            photos[name.split("/")[-2]].append(_decode(data, f"{path}:{name}"))
            bar.advance()
    for split, folder in folders.items():
        if not photos[split]:
            raise UserError(f"{path} has no photograph {folder}*.jpg", help=["it must be BSR_bsds500.tgz"])
    return photos


def read_release(path: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """uint8 N x 3 x 32 x 32 and labels of the original MNIST-M.

    From its archive, `mnist_m/mnist_m_<split>/*.png` with `mnist_m/mnist_m_<split>_labels.txt` (a file name
    and a label a line), or from a .npz with `images` (uint8 N x 32 x 32 x 3) and `labels`.
    """
    images, labels = _from_npz(path) if path.suffix == ".npz" else _from_tar(path, split)
    if images.dtype != np.uint8 or images.shape != (len(labels), 32, 32, 3):
        found = f"{images.dtype} {images.shape} and {len(labels)} labels"
        raise UserError(f"{path} must hold uint8 N x 32 x 32 x 3 images and N labels, not {found}")
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)), labels


def _from_npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with reading(path), np.load(path) as arrays:
        return arrays["images"], arrays["labels"]


def _from_tar(path: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    folder, index = f"mnist_m/mnist_m_{split}/", f"mnist_m/mnist_m_{split}_labels.txt"
    files = _pictures(path, lambda name: name == index or (name.startswith(folder) and name.endswith(".png")))
    with reading(path):
        rows = [line.split() for line in files[index].decode().splitlines() if line.strip()]
        images = [_decode(files[folder + name], f"{path}:{folder}{name}") for name, _ in rows]
        return np.stack(images), np.array([int(label) for _, label in rows])
