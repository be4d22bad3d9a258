"""What a network may predict of x_t = alpha_t x_0 + sigma_t noise where alpha_t^2 + sigma_t^2 = 1."""

from __future__ import annotations

from typing import Literal, TypeVar

from torch import Tensor

Prediction = Literal["epsilon", "x0", "v"]
Number = TypeVar("Number", float, Tensor)


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
