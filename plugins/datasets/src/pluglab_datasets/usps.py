"""USPS (Hull 1994): 7,291 + 2,007 handwritten digits of postcodes, 16 x 16, white on black."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import Field
from sklearn.datasets import load_svmlight_file

from pluglab.errors import UserError
from pluglab.protocols import DataContext
from pluglab_datasets.files import FoundFile, OfficialFile, reading
from pluglab_datasets.prepared import DigitOptions, Part, PreparedDataset, resize

URL = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/"


def _file(name: str, md5: str) -> OfficialFile:
    return OfficialFile(f"USPS/{name}", (URL + name,), md5, others=((name, md5),))


FILES = [
    _file("usps.bz2", "ec16c51db3855ca6c91edd34d0e9b197"),
    _file("usps.t.bz2", "8ea070ee2aca1ac39742fdd1ef5ed118"),
]


class USPSOptions(DigitOptions):
    margin: int = Field(0, ge=0, le=8)
    """Black rows and columns added around the original 16 x 16 digit before it is enlarged. The digits of
    USPS fill their frame; 3 gives them about the share of the frame that MNIST's have."""


class USPS(PreparedDataset):
    """USPS: 7,291 + 2,007 digits scanned from envelopes (Hull 1994), one channel, white on black.

    16 x 16 pixels, enlarged bilinearly. The split is the official one, 7,291 / 2,007, of the LIBSVM files.
    """

    Config = USPSOptions
    name = "usps"
    official = {"train": 7_291, "test": 2_007}
    config: USPSOptions

    def files(self, context: DataContext) -> list[OfficialFile]:
        return FILES

    def read(self, files: list[FoundFile], context: DataContext) -> dict[str, Part]:
        return {split: self._part(file.path) for split, file in zip(("train", "test"), files, strict=True)}

    def _part(self, path: Path) -> Part:
        digits, labels = read_usps(path)
        framed = np.pad(digits, [(0, 0), (0, 0), *[(self.config.margin,) * 2] * 2])
        return Part(resize(framed, self.config.size), labels)


def read_usps(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """uint8 N x 1 x 16 x 16 from values in [-1, 1], and labels 0 to 9 from 1 to 10."""
    with reading(path):
        rows, labels = load_svmlight_file(str(path), n_features=256)
    if not set(np.unique(labels)) <= set(range(1, 11)):
        raise UserError(f"{path} has labels outside 1 to 10")
    levels = np.rint((rows.toarray() + 1) * 127.5).clip(0, 255).astype(np.uint8)
    return levels.reshape(-1, 1, 16, 16), labels.astype(np.int64) - 1
