"""MNIST (LeCun et al. 1998): 60,000 + 10,000 handwritten digits, 28 x 28, white on black."""

from __future__ import annotations

import gzip
import math
import struct
from pathlib import Path

import numpy as np

from pluglab.errors import UserError
from pluglab.protocols import DataContext
from pluglab_datasets.files import FoundFile, OfficialFile
from pluglab_datasets.prepared import DigitOptions, Part, PreparedDataset, center
from pluglab_datasets.reading import reading
from pluglab_datasets.splits import check_labels

FOLDERS = ("MNIST/raw", "MNIST")
MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/",)


def _file(name: str, packed: str, plain: str) -> OfficialFile:
    urls = tuple(f"{mirror}{name}.gz" for mirror in MIRRORS)
    # Some programs unpack x-idx3-ubyte.gz as x.idx3-ubyte.
    places = [f"{folder}/{form}" for folder in FOLDERS for form in (name, name.replace("-idx", ".idx"))]
    forms = [form for place in places for form in ((f"{place}.gz", packed), (place, plain))]
    return OfficialFile(forms[0][0], urls, packed, others=tuple(forms[1:]), unread=("MNIST/mnist.npz",))


FILES = [
    _file("train-images-idx3-ubyte", "f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb"),
    _file("train-labels-idx1-ubyte", "d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"),
    _file("t10k-images-idx3-ubyte", "9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"),
    _file("t10k-labels-idx1-ubyte", "ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"),
]


class MNIST(PreparedDataset):
    """MNIST: 60,000 + 10,000 handwritten digits (LeCun et al. 1998), one channel, white on black.

    At size 32 the 28 x 28 image stands in the middle with two black pixels around it, unscaled, as in the
    release of MNIST-M.
    """

    Config = DigitOptions
    name = "mnist"
    official = {"train": 60_000, "test": 10_000}

    def files(self, context: DataContext) -> list[OfficialFile]:
        return FILES

    def read(self, files: list[FoundFile], context: DataContext) -> dict[str, Part]:
        return {
            split: Part(center(x, self.config.size)[:, None], y)
            for split, (x, y) in read_mnist(files).items()
        }


def read_mnist(files: list[FoundFile]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images uint8 N x 28 x 28 and labels uint8 N of each split, from the files of `FILES` in its order."""
    paths = [file.path for file in files]
    return {"train": _pair(paths[0], paths[1]), "test": _pair(paths[2], paths[3])}


def _pair(images: Path, labels: Path) -> tuple[np.ndarray, np.ndarray]:
    x, y = read_idx(images), read_idx(labels)
    if x.ndim != 3 or y.shape != x.shape[:1]:
        raise UserError(f"{images} and {labels} do not fit together: {x.shape} images, {y.shape} labels")
    if x.shape[1:] != (28, 28):
        raise UserError(f"{images} has images of {x.shape[1]} x {x.shape[2]}; those of MNIST are 28 x 28")
    return x, check_labels(y, range(10), labels)


def read_idx(path: Path) -> np.ndarray:
    """An array of unsigned bytes in the IDX format: 0 0 8 and the number of axes, big-endian sizes, data."""
    with reading(path):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        axes = data[3] if data[:3] == b"\0\0\x08" else 0
        shape = struct.unpack_from(f">{axes}I", data, 4)
    if not axes or len(data) != 4 + 4 * axes + math.prod(shape):
        raise UserError(f"{path} is no complete IDX file of unsigned bytes", help=["get it again"])
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)
