"""KID: squared maximum mean discrepancy, polynomial kernel (Binkowski et al. 2018, arXiv:1801.01401)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from pluglab.components import Options
from pluglab_metrics.scores.collected import Collected


def polynomial_kernel(x: Tensor, y: Tensor) -> Tensor:
    """k(x, y) = (x . y / d + 1)^3, N x d and M x d to N x M (section 4)."""
    return (x @ y.T / x.shape[1] + 1) ** 3


def squared_mmd(x: Tensor, y: Tensor) -> float:
    """The unbiased estimate of MMD^2 (eq. 4; Gretton et al. 2012): may be negative. Rows are samples."""
    x, y = x.double(), y.double()
    within = _mean_off_diagonal(polynomial_kernel(x, x)) + _mean_off_diagonal(polynomial_kernel(y, y))
    return (within - 2 * polynomial_kernel(x, y).mean()).item()


def _mean_off_diagonal(kernel: Tensor) -> Tensor:
    count = len(kernel)
    return (kernel.sum() - kernel.trace()) / (count * (count - 1))


class KID(Collected):
    """Mean and deviation of MMD^2 over random subsets of the features; 0 is best, and it has no bias."""

    keys = ("kid", "kid_std")
    better = "min"

    class Config(Options):
        subsets: int = Field(100, ge=1)
        """Random subsets."""
        subset_size: int = Field(1000, ge=2)
        """Images of each kind in a subset; all where there are fewer."""
        seed: int = 0
        """Seed of the subsets."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def compute(self) -> dict[str, float]:
        """`kid`, and `kid_std` over the subsets."""
        real, made = self.features(real=True), self.features(real=False)
        generator = torch.Generator().manual_seed(self.config.seed)
        size = min(self.config.subset_size, len(real), len(made))

        def subset(rows: Tensor) -> Tensor:
            return rows[torch.randperm(len(rows), generator=generator)[:size]]

        values = [squared_mmd(subset(real), subset(made)) for _ in range(self.config.subsets)]
        found = torch.tensor(values, dtype=torch.float64)
        return {"kid": found.mean().item(), "kid_std": found.std(correction=0).item()}
