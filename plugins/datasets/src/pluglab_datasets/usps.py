"""USPS (Hull 1994): 7,291 + 2,007 handwritten digits of postcodes, 16 x 16, white on black."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import Field

from pluglab.errors import UserError
from pluglab.protocols import DataContext
from pluglab_datasets.files import FoundFile, OfficialFile
from pluglab_datasets.prepared import DigitOptions, Part, PreparedDataset, resize
from pluglab_datasets.reading import reading
from pluglab_datasets.splits import check_labels

URL = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/"


def _file(name: str, md5: str, zip_code: str) -> OfficialFile:
    plain = (f"USPS/{name.removesuffix('.bz2')}", f"USPS/{zip_code}.gz", f"USPS/{zip_code}")
    others = ((name, md5), *((form, None) for form in plain))
    return OfficialFile(f"USPS/{name}", (URL + name,), md5, others, unread=("USPS/usps.h5",))


FILES = [
    _file("usps.bz2", "ec16c51db3855ca6c91edd34d0e9b197", "zip.train"),
    _file("usps.t.bz2", "8ea070ee2aca1ac39742fdd1ef5ed118", "zip.test"),
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
    """uint8 N x 1 x 16 x 16 and labels 0 to 9, of the files of LIBSVM (labels 1 to 10) and of Hastie et al.
    (zip.train and zip.test, labels 0 to 9)."""
    with reading(path):
        if path.name.startswith("zip."):
            table = np.loadtxt(path, ndmin=2)
            values, labels, first = table[:, 1:], table[:, 0], 0
        else:
            from sklearn.datasets import load_svmlight_file  # takes a while, and is needed once

            rows, labels = load_svmlight_file(str(path), n_features=256)
            values, first = rows.toarray(), 1
        digits = check_labels(labels, range(first, first + 10), path, "line").astype(np.int64) - first
        return _levels(values, path).reshape(-1, 1, 16, 16), digits


def _levels(values: np.ndarray, path: Path) -> np.ndarray:
    """uint8, from values in [-1, 1] as in the official files, in [0, 1] or in 0..255."""
    low, high = values.min(initial=0), values.max(initial=0)
    if not np.isfinite(values).all() or low < -1 or high > (1 if low < 0 else 255):
        raise UserError(
            f"{path} has values from {low:g} to {high:g}: no gray levels in -1..1, 0..1 or 0..255"
        )
    if low < 0:
        values = (values + 1) * 127.5
    elif high <= 1:
        values = values * 255
    return np.rint(values).clip(0, 255).astype(np.uint8)
