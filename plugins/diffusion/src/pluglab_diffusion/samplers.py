"""Kind `sampler`: from noise to an image, one short function each, all with one signature.

    sampler(options, denoise, x, path, noise) -> the image after every step, the last of which is clean

`denoise(x, level)` is the model's guess of the clean image, N x C x H x W; `x` starts as noise at the first
level of `path`, whose last level is clean; `noise(x)` draws standard normal numbers of the shape of x.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Literal, Protocol

from pydantic import Field
from torch import Tensor

from pluglab.components import Options, takes
from pluglab_diffusion.process import Level, Path

Denoise = Callable[[Tensor, Level], Tensor]
Noise = Callable[[Tensor], Tensor]


class Sampler(Protocol):
    """What every function of this module is, once a recipe has named it and its options."""

    def __call__(self, denoise: Denoise, x: Tensor, path: Path, noise: Noise) -> Iterator[Tensor]:
        """Yields x after every step."""
        ...


class DDPMOptions(Options):
    variance: Literal["small", "large"] = "small"
    """Variance of a step: that of x_s given x_t and x_0 ('small'), or given x_t alone ('large')."""


class DDIMOptions(Options):
    eta: float = Field(0.0, ge=0, le=1)
    """Share of fresh noise: 0 is deterministic, 1 is `ddpm` with small variance."""


class ChurnOptions(Options):
    churn: float = Field(0.0, ge=0)
    """S_churn: fresh noise before each step raises sigma / alpha by the share churn / steps, at most
    sqrt(2) - 1; 0 is deterministic."""
    churn_min: float = Field(0.0, ge=0)
    """S_tmin: the least sigma / alpha at which noise is added."""
    churn_max: float | None = Field(None, gt=0)
    """S_tmax: the largest."""
    churn_noise: float = Field(1.0, gt=0)
    """S_noise: standard deviation of the noise that is added."""


@takes(DDPMOptions)
def ddpm(options: DDPMOptions, denoise: Denoise, x: Tensor, path: Path, noise: Noise) -> Iterator[Tensor]:
    """Ancestral sampling (Ho et al. 2020, eq. 7 and algorithm 2), over any falling levels t > s: the forward
    step from s to t has alpha_t / alpha_s and the variance sigma_t^2 - (alpha_t / alpha_s)^2 sigma_s^2."""
    for t, s in pairwise(path):
        kept = t.alpha / s.alpha
        added = t.sigma**2 - kept**2 * s.sigma**2
        mean = (kept * s.sigma**2 * x + s.alpha * added * denoise(x, t)) / t.sigma**2
        variance = added if options.variance == "large" else added * s.sigma**2 / t.sigma**2
        x = mean if s.sigma == 0 else mean + variance**0.5 * noise(x)
        yield x


@takes(DDIMOptions)
def ddim(options: DDIMOptions, denoise: Denoise, x: Tensor, path: Path, noise: Noise) -> Iterator[Tensor]:
    """Denoising diffusion implicit models (Song et al. 2021, eq. 12 and 16, for alpha^2 + sigma^2 = 1; here
    so that eta = 1 is ancestral on every process)."""
    for t, s in pairwise(path):
        x0 = denoise(x, t)
        epsilon = (x - t.alpha * x0) / t.sigma
        fresh = options.eta * s.sigma * (1 - (s.ratio / t.ratio) ** 2) ** 0.5
        x = s.alpha * x0 + (s.sigma**2 - fresh**2) ** 0.5 * epsilon
        x = x + fresh * noise(x) if fresh > 0 else x
        yield x


@takes(Options)
def dpm_solver_pp_2m(
    options: Options, denoise: Denoise, x: Tensor, path: Path, noise: Noise
) -> Iterator[Tensor]:
    """DPM-Solver++(2M), multistep (Lu et al. 2022, algorithm 2). The first step and the last, which ends in
    the clean image, are of first order."""
    before: tuple[Tensor, float] | None = None
    for t, s in pairwise(path):
        x0, h = denoise(x, t), s.log_snr - t.log_snr
        extrapolated = x0
        if before is not None and s.sigma > 0:
            extrapolated = x0 + h / (2 * before[1]) * (x0 - before[0])
        x = s.sigma / t.sigma * x - s.alpha * math.expm1(-h) * extrapolated
        before = x0, h
        yield x


@takes(ChurnOptions)
def euler(options: ChurnOptions, denoise: Denoise, x: Tensor, path: Path, noise: Noise) -> Iterator[Tensor]:
    """Euler's method along dx = x_0 d alpha + epsilon d sigma, the probability flow (Karras et al. 2022,
    algorithm 2 without its second half). Without churn it is `ddim` with eta = 0."""
    for t, s in pairwise(path):
        x, t = churned(options, x, t, path, noise)
        x = x + _move(denoise(x, t), x, t, t, s)
        yield x


@takes(ChurnOptions)
def heun(options: ChurnOptions, denoise: Denoise, x: Tensor, path: Path, noise: Noise) -> Iterator[Tensor]:
    """Heun's method, the trapezoid of the same: where alpha is 1 it is Karras et al. 2022, algorithm 1, with
    churn algorithm 2, and along alpha = 1 - t the usual one of the velocity. The last step is Euler's."""
    for t, s in pairwise(path):
        x, t = churned(options, x, t, path, noise)
        move = _move(denoise(x, t), x, t, t, s)
        if s.sigma > 0:
            ahead = x + move
            move = (move + _move(denoise(ahead, s), ahead, s, t, s)) / 2
        x = x + move
        yield x


def _move(x0: Tensor, x: Tensor, at: Level, t: Level, s: Level) -> Tensor:
    """x_0 (alpha_s - alpha_t) + epsilon (sigma_s - sigma_t) with the slopes at x_`at`."""
    return (s.alpha - t.alpha) * x0 + (s.sigma - t.sigma) * ((x - at.alpha * x0) / at.sigma)


def churned(options: ChurnOptions, x: Tensor, t: Level, path: Path, noise: Noise) -> tuple[Tensor, Level]:
    """x with fresh noise, and its new level (Karras et al. 2022, algorithm 2, lines 4 to 6)."""
    most = math.inf if options.churn_max is None else options.churn_max
    if not options.churn or not options.churn_min <= t.ratio <= most:
        return x, t
    noisier = path.noisier(t, min(options.churn / (len(path) - 1), math.sqrt(2) - 1))
    kept = noisier.alpha / t.alpha if t.alpha else 1.0
    added = noisier.sigma**2 - kept**2 * t.sigma**2
    return (kept * x + added**0.5 * options.churn_noise * noise(x), noisier) if added > 0 else (x, t)
