"""Pictures read straight from what they are published in: BSDS500, and the release of MNIST-M."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from pluglab.errors import UserError
from pluglab.protocols import ProgressBar
from pluglab_datasets.image_sources import open_source
from pluglab_datasets.label_tables import Row, read_table
from pluglab_datasets.reading import reading
from pluglab_datasets.splits import DIGITS, check_labels

PHOTOS = "BSDS500/data/images"  # below it train, val and test, with 200, 100 and 200 photographs


def _decode(data: bytes, name: str) -> np.ndarray:
    """uint8 H x W x 3. Raises `UserError` for a file that is no image."""
    try:
        return np.asarray(Image.open(BytesIO(data)).convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise UserError(
            f"{name} is no image that can be read: {error}", help=["get the archive again"]
        ) from error


def _pictures(path: Path, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """The files of an archive or folder whose name is `wanted`, by name, in the order of names."""
    with reading(path):
        source = open_source(path)
        return dict(sorted(source.contents([name for name in source.files() if wanted(name)])))


def read_photos(
    path: Path, splits: Sequence[str], track: Callable[[str, int], ProgressBar]
) -> dict[str, list[np.ndarray]]:
    """The photographs of BSDS500, uint8 H x W x 3 each, in the order of their names, for each split."""
    folders = {split: f"{PHOTOS}/{split}" for split in splits}

    def wanted(name: str) -> bool:
        return name.endswith(".jpg") and name.rpartition("/")[0].endswith(tuple(folders.values()))

    files = _pictures(path, wanted)
    photos: dict[str, list[np.ndarray]] = {split: [] for split in splits}
    with track("reading photographs", len(files)) as bar:
        for name, data in files.items():
            photos[name.split("/")[-2]].append(_decode(data, f"{path}:{name}"))
            bar.advance()
    for split, folder in folders.items():
        if not photos[split]:
            raise UserError(f"{path} has no photograph {folder}/*.jpg", help=["it must be BSR_bsds500.tgz"])
    return photos


def read_release(path: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """uint8 N x 3 x 32 x 32 and labels of the original MNIST-M.

    From its archive, packed or not: mnist_m_<split>/*.png and mnist_m_<split>_labels.txt, which has a file
    name and a label a line. Or from a .npz with `images` (uint8 N x 32 x 32 x 3) and `labels`.
    """
    images, labels = _from_npz(path) if path.suffix == ".npz" else _from_archive(path, split)
    if images.dtype != np.uint8 or images.shape != (len(labels), 32, 32, 3):
        found = f"{images.dtype} {images.shape} and {len(labels)} labels"
        raise UserError(f"{path} must hold uint8 N x 32 x 32 x 3 images and N labels, not {found}")
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)), labels


def _from_npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with reading(path), np.load(path) as arrays:
        return arrays["images"], check_labels(arrays["labels"].ravel(), range(10), path)


def _from_archive(path: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    index, folder = f"mnist_m_{split}_labels.txt", f"mnist_m_{split}"
    files = _pictures(path, lambda name: name.endswith(index) or folder in name.split("/")[:-1])
    listed = next((name for name in files if name.endswith(index)), None)
    if listed is None:
        raise UserError(f"{path} has no list {index}", help=["it must be the archive of the release"])
    names = {name.rpartition("/")[2]: name for name in files}
    with reading(path):
        rows = read_table(files[listed], f"{path}:{listed}")
        images = [_decode(files[names[row.name]], f"{path}:{names[row.name]}") for row in rows]
        return np.stack(images), np.array([_digit(row) for row in rows])


def _digit(row: Row) -> int:
    if row.label not in DIGITS:
        raise UserError(f"{row.where}: the label of '{row.name}' is {row.label}, outside 0 to 9")
    return DIGITS.index(row.label)
