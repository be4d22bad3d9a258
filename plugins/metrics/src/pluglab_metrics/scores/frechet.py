"""The Fréchet distance between two Gaussians, and FID (Heusel et al. 2017, arXiv:1706.08500, eq. 6)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from pluglab.errors import RunError
from pluglab_metrics.extractors.base import Features


@dataclass(frozen=True)
class Gaussian:
    """`mean`: float64 d. `covariance`: float64 d x d, with the factor 1 / (count - 1)."""

    mean: Tensor
    covariance: Tensor
    count: int


class RunningGaussian:
    """Mean and covariance of rows that arrive in batches, in float64."""

    def __init__(self) -> None:
        self.count = 0

    def update(self, rows: Tensor) -> None:
        """`rows`: N x d."""
        rows = rows.double()
        if self.count == 0:
            # Sums are taken around the first batch's mean: sums of raw squares lose digits.
            self.origin = rows.mean(0)
            self.sum, self.outer = torch.zeros_like(self.origin), rows.new_zeros(rows.shape[1], rows.shape[1])
        rows = rows - self.origin
        self.count += len(rows)
        self.sum += rows.sum(0)
        self.outer += rows.T @ rows

    def compute(self) -> Gaussian:
        """Raises `RunError` for fewer than two rows."""
        if self.count < 2:
            raise RunError(
                f"a covariance needs at least two images, got {self.count}", help=["ask for more images"]
            )
        shift = self.sum / self.count
        covariance = (self.outer - self.count * torch.outer(shift, shift)) / (self.count - 1)
        return Gaussian(self.origin + shift, covariance, self.count)


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """|m_a - m_b|^2 + tr(A + B - 2 (A B)^(1/2)).

    With A = L L^T, the eigenvalues of A B are those of the symmetric L^T B L. So neither a square root of a
    matrix nor complex numbers are needed.
    """
    root = _root(a.covariance)
    spectrum = torch.linalg.eigvalsh(root.T @ b.covariance @ root)
    cross = spectrum.clamp(min=0).sqrt().sum()
    shift = (a.mean - b.mean).square().sum()
    distance = shift + a.covariance.trace() + b.covariance.trace() - 2 * cross
    return max(0.0, distance.item())


def _root(covariance: Tensor) -> Tensor:
    """L with L L^T = covariance: Cholesky, or by eigenvectors where the covariance is singular."""
    root, failed = torch.linalg.cholesky_ex(covariance)
    if failed == 0:
        return root
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp(min=0).sqrt()


class FID:
    """Fréchet distance between Gaussians fitted to features of generated and of real images; 0 is best.

    Biased upwards by few images: compare only scores of equally many. Warns where there are fewer images
    than dimensions, since a covariance is singular then.
    """

    reads = "features"
    keys = ("fid",)
    better = "min"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.real, self.made = RunningGaussian(), RunningGaussian()

    def update(self, batch: Features, real: bool, labels: Tensor | None = None) -> None:
        (self.real if real else self.made).update(batch.features)

    def compute(self) -> dict[str, float]:
        """`fid`."""
        return {"fid": self.distance_to(self.real.compute())}

    def distance_to(self, real: Gaussian) -> float:
        """The distance of the generated images to real ones of which only mean and covariance are known."""
        made = self.made.compute()
        fewest, dimensions = min(real.count, made.count), len(real.mean)
        if fewest < dimensions:
            warnings.warn(
                f"FID of {fewest:,} images in {dimensions:,} dimensions: the covariance is singular, and the "
                "score says little; take more images",
                stacklevel=2,
            )
        return frechet_distance(real, made)
