"""The forward process q(x_t | x_0) = N(alpha_t x_0, sigma_t^2 I), and what a network may predict of it.

alpha_t^2 + sigma_t^2 = 1; alpha_t^2 is the papers' alpha_bar_t. `alpha` and `sigma` are floats, or tensors
that broadcast against images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeVar

import torch
from torch import Tensor

from pluglab.errors import UserError

MOST_IMAGE = 0.5  # share of the variance that is still image at the last level
Prediction = Literal["epsilon", "x0", "v"]
Number = TypeVar("Number", float, Tensor)


class Level(NamedTuple):
    """One noise level: `t` in [0, T), or -1 for a clean image."""

    t: int
    alpha: float
    sigma: float

    @property
    def log_snr(self) -> float:
        """lambda = log(alpha / sigma), half the logarithm of the signal-to-noise ratio."""
        if self.sigma == 0:
            return math.inf
        return math.log(self.alpha / self.sigma) if self.alpha > 0 else -math.inf


CLEAN = Level(-1, 1.0, 0.0)


def noised(x0: Tensor, noise: Tensor, alpha: Number, sigma: Number) -> Tensor:
    """x_t = alpha x_0 + sigma noise (Ho et al. 2020, eq. 4)."""
    return alpha * x0 + sigma * noise


def target(kind: Prediction, x0: Tensor, noise: Tensor, alpha: Number, sigma: Number) -> Tensor:
    """What the network learns to predict; v = alpha noise - sigma x_0 (Salimans and Ho 2022, appendix D)."""
    if kind == "v":
        return alpha * noise - sigma * x0
    return noise if kind == "epsilon" else x0


def image_of(kind: Prediction, output: Tensor, x: Tensor, alpha: Number, sigma: Number) -> Tensor:
    """The image x_0 that a prediction at x_t stands for."""
    if kind == "v":
        return alpha * x - sigma * output
    return (x - sigma * output) / alpha if kind == "epsilon" else output


def min_snr_weight(kind: Prediction, snr: Tensor, gamma: float) -> Tensor:
    """Weight of the squared error of a prediction: min(SNR, gamma) for x_0, and the same loss in the terms
    of the other two (Hang et al. 2023, section 3.4)."""
    clipped = snr.clamp(max=gamma)
    if kind == "v":
        return clipped / (snr + 1)
    return clipped / snr if kind == "epsilon" else clipped


def check_levels(alphas_cumprod: Tensor, name: str) -> None:
    """Raises `UserError` for shares of the image, float N, that no noise schedule has; `name` made them."""
    found, wrong = alphas_cumprod.double(), ""
    if not found.isfinite().all():
        wrong = "some of its levels are no numbers"
    elif not (found[0] < 1 and found[-1] >= 0 and (found.diff() < 0).all()):
        wrong = "the share of the image must fall from below 1 at every level, down to 0 at the lowest"
    elif found[-1] > MOST_IMAGE:
        wrong = f"its last level is still {found[-1]:.0%} image, and sampling starts from pure noise there"
    if wrong:
        message = f"noise schedule '{name}' with these options and {len(found)} levels is none: {wrong}"
        raise UserError(
            message, help=[f"leave out options of '{name}', or see `lab show noise_schedule {name}`"]
        )


class Process:
    """The levels of a noise schedule, on the device where images are."""

    def __init__(self, alphas_cumprod: Tensor, device: torch.device | None = None) -> None:
        self.alphas_cumprod = alphas_cumprod
        self.timesteps = len(alphas_cumprod)
        self._alpha = alphas_cumprod.sqrt().float().to(device)
        self._sigma = (1 - alphas_cumprod).sqrt().float().to(device)
        self.snr = (alphas_cumprod / (1 - alphas_cumprod)).float().to(device)

    def to(self, device: torch.device) -> Process:
        return Process(self.alphas_cumprod, device)

    def at(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """alpha and sigma of levels int64 N, each N x 1 x 1 x 1."""
        return self._alpha[t].view(-1, 1, 1, 1), self._sigma[t].view(-1, 1, 1, 1)

    def levels(self, times: Sequence[int]) -> list[Level]:
        """The levels of falling times, and the clean image after the last."""
        shares = [float(self.alphas_cumprod[t]) for t in times]
        return [*(Level(t, a**0.5, (1 - a) ** 0.5) for t, a in zip(times, shares, strict=True)), CLEAN]
