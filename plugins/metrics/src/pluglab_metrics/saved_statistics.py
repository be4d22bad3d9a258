"""Means and covariances of features as files: ours, and those of pytorch-fid and clean-fid (.npz).

All hold `mu` and `sigma`. Those of others do not say through which network and after which resizing; the
network of both is the one of `inception`, and clean-fid's names say the rest.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from zipfile import BadZipFile

import numpy as np
import torch

from pluglab.errors import UserError
from pluglab.storage.atomic import replacing
from pluglab_metrics.extractors.base import FeatureExtractor
from pluglab_metrics.scores.frechet import Gaussian

Resizing = Literal["tensorflow", "pytorch", "clean"]
INCEPTION = 2048  # features
IN_NAMES: dict[str, Resizing] = {
    "_legacy_tensorflow_": "tensorflow",
    "_legacy_pytorch_": "pytorch",
    "_clean_": "clean",
}


@dataclass(frozen=True)
class Statistics:
    """Of one file. `extractor` is the identity of the network, where the file says it; else `resizing` is
    what is known. `count` is 0 where nobody knows of how many images they are."""

    path: Path
    mean: np.ndarray
    covariance: np.ndarray
    count: int
    extractor: str
    resizing: Resizing | None

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.mean.tobytes() + self.covariance.tobytes()).hexdigest()

    def gaussian(self, count: int) -> Gaussian:
        """With the number of images that is known, or else this one."""
        mean, covariance = (torch.from_numpy(value).double() for value in (self.mean, self.covariance))
        return Gaussian(mean, covariance, self.count or count)


def read_statistics(path: Path, resized: Resizing | None = None) -> Statistics:
    """`resized`: how images were resized, where the file does not say it.

    Raises `UserError` for a file without `mu` and `sigma` of one size, and for one that does not say how its
    images were resized.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {key: file[key] for key in file.files}
    except (OSError, ValueError, BadZipFile) as error:
        raise UserError(f"{path} cannot be read as statistics: {error}") from None
    mean, covariance = found.get("mu"), found.get("sigma")
    if mean is None or covariance is None or mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
        held = ", ".join(sorted(found)) or "nothing"
        raise UserError(f"{path} holds no `mu` of d numbers and `sigma` of d x d", help=[f"it holds {held}"])
    if "extractor" in found:
        return Statistics(path, mean, covariance, int(found["count"]), str(found["extractor"]), None)
    _check_foreign(path, len(mean))
    known = next((mode for sign, mode in IN_NAMES.items() if sign in path.name), resized)
    if known is None:
        help = [
            "--resized pytorch for statistics of pytorch-fid, --resized tensorflow for those of the original "
            "FID, --resized clean for those of clean-fid"
        ]
        raise UserError(f"{path} does not say how its images were resized", help=help)
    return Statistics(path, mean, covariance, 0, "", known)


def _check_foreign(path: Path, features: int) -> None:
    if features != INCEPTION:
        message = f"{path} is of {features:,} features, and the network of published scores has {INCEPTION:,}"
        help = ["statistics of pytorch-fid fit with its default, --dims 2048; no other network's do"]
        raise UserError(message, help=help)


def check_fits(statistics: Statistics, extractor: FeatureExtractor) -> None:
    """Raises `UserError` unless the statistics are of features of this very extractor."""
    if statistics.extractor:
        fits, wanted = statistics.extractor == extractor.identity, f"the extractor {statistics.extractor}"
    else:
        resizing = getattr(getattr(extractor, "config", None), "resizing", None)
        fits = extractor.name == "inception" and resizing == statistics.resizing
        wanted = f"inception with images resized as {statistics.resizing} does"
    if not fits:
        message = f"{statistics.path} is of features through {wanted}, and not through {extractor.identity}"
        raise UserError(message, help=["leave --extractor out, or name the one that fits"])


def write_statistics(path: Path, gaussian: Gaussian, extractor: FeatureExtractor) -> None:
    """`mu` and `sigma`, which other tools read, and what they are of."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            mu=gaussian.mean.numpy(),
            sigma=gaussian.covariance.numpy(),
            count=gaussian.count,
            extractor=extractor.identity,
        )
