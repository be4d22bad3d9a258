"""Precision, recall, density and coverage from nearest neighbors.

Kynkaanniemi et al. 2019 (arXiv:1904.06991) and Naeem et al. 2020 (arXiv:2002.09797).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor

from pluglab.components import Options
from pluglab.errors import UserError
from pluglab_metrics.scores.collected import Collected


def radii(rows: Tensor, k: int) -> Tensor:
    """Distance of each row of N x d to its k-th nearest other row. Raises `UserError` unless k < N."""
    if k >= len(rows):
        raise UserError(
            f"{k} neighbors need more than {k} images, got {len(rows)}",
            help=["lower `k`, or take more images"],
        )
    return torch.cat([block.kthvalue(k + 1, dim=1).values for block in _distances(rows, rows)])


def _distances(x: Tensor, y: Tensor) -> Iterator[Tensor]:
    """Euclidean distances in blocks of rows, so that memory stays bounded."""
    x, y = x.double(), y.double()
    return (torch.cdist(block, y) for block in x.split(1000))


def neighbor_scores(real: Tensor, made: Tensor, k: int = 5) -> dict[str, float]:
    """Of features N x d and M x d, with B(x) the ball around x that reaches its k-th neighbor:

    * precision: share of generated images in any real ball;
    * recall: share of real images in any generated ball;
    * density: mean number of real balls that a generated image lies in, over k;
    * coverage: share of real balls that hold a generated image.
    """
    real_radii, made_radii = radii(real, k), radii(made, k)
    inside, recalled, covered = [], [], []
    for block, reach in zip(_distances(real, made), real_radii.split(1000), strict=True):
        within = block <= reach.unsqueeze(1)
        inside.append(within.sum(0))
        covered.append(within.any(1))
        recalled.append((block <= made_radii).any(1))
    balls = torch.stack(inside).sum(0)
    return {
        "precision": _mean(balls > 0),
        "recall": _mean(torch.cat(recalled)),
        "density": _mean(balls) / k,
        "coverage": _mean(torch.cat(covered)),
    }


def _mean(values: Tensor) -> float:
    return values.double().mean().item()


class PrecisionRecall(Collected):
    """Precision and recall (fidelity and variety), density and coverage (the same, robust to outliers)."""

    keys = ("precision", "recall", "density", "coverage")
    better = "max"

    class Config(Options):
        k: int = Field(5, ge=1)
        """Neighbors: 5 in Naeem et al. 2020, 3 in Kynkaanniemi et al. 2019."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def check(self, real: int, made: int) -> None:
        """Raises `UserError` for fewer images than neighbors."""
        if self.config.k >= min(real, made):
            message = f"{self.config.k} neighbors need more images than there are: {real} real, {made} made"
            raise UserError(message, help=["lower `k`, or take more images"])

    def compute(self) -> dict[str, float]:
        """`precision`, `recall`, `density`, `coverage`."""
        return neighbor_scores(self.features(real=True), self.features(real=False), self.config.k)
