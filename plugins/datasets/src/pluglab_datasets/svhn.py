"""SVHN (Netzer et al. 2011): house-number digits cut from street photographs, 32 x 32, color."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pluglab.errors import UserError
from pluglab.protocols import DataContext
from pluglab_datasets.files import FoundFile, OfficialFile
from pluglab_datasets.prepared import DigitOptions, Part, PreparedDataset, resize
from pluglab_datasets.reading import reading
from pluglab_datasets.splits import check_labels

UNREAD = ("SVHN/train.tar.gz", "SVHN/test.tar.gz")  # format 1, whole photographs
URL = "https://ufldl.stanford.edu/housenumbers/"


def _file(name: str, md5: str) -> OfficialFile:
    return OfficialFile(
        f"SVHN/{name}",
        (URL + name,),
        md5,
        ((name, md5),),
        unread=UNREAD,
    )


FILES = [
    _file("train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373"),
    _file("test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3"),
]


class SVHN(PreparedDataset):
    """SVHN, cropped digits: 73,257 + 26,032 house-number digits (Netzer et al. 2011), three channels.

    The label 10 of the files is the digit 0. Neighboring digits reach into many crops.
    """

    Config = DigitOptions
    name = "svhn"
    official = {"train": 73_257, "test": 26_032}

    def files(self, context: DataContext) -> list[OfficialFile]:
        return FILES

    def read(self, files: list[FoundFile], context: DataContext) -> dict[str, Part]:
        pairs = {split: read_svhn(file.path) for split, file in zip(("train", "test"), files, strict=True)}
        return {split: Part(resize(x, self.config.size), y) for split, (x, y) in pairs.items()}


def read_svhn(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """uint8 N x 3 x 32 x 32 from X (32 x 32 x 3 x N), and labels 0 to 9 from y (1 to 10, where 10 is 0)."""
    from scipy.io import loadmat  # takes a while, and is needed once

    with reading(path):
        contents = loadmat(path)
    missing = [name for name in ("X", "y") if name not in contents]
    if missing:
        inside = ", ".join(name for name in contents if not name.startswith("__")) or "nothing"
        what = " and no ".join(missing)
        raise UserError(
            f"{path} has no {what}: it holds {inside}",
            help=["the cropped digits, format 2 of SVHN, have the images X and the labels y"],
        )
    return _checked(path, contents["X"], contents["y"].ravel())


def _checked(path: Path, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if images.dtype != np.uint8 or images.shape != (32, 32, 3, len(labels)):
        found = f"{images.dtype} {images.shape} and {len(labels)} labels"
        raise UserError(f"{path} must hold X as uint8 32 x 32 x 3 x N and N labels y, not {found}")
    digits = check_labels(labels, range(11), path).astype(np.int64) % 10
    return np.ascontiguousarray(images.transpose(3, 2, 0, 1)), digits
