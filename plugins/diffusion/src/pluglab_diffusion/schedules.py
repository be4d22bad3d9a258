"""Kind `noise_schedule`: how much of the image is left at each of T noise levels.

Each function returns alpha_bar, float64 of length T: the share of signal in the variance, falling from
almost 1 at t = 0. Internally t counts from 0; the papers' t is one more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import torch
from pydantic import Field
from torch import Tensor

from pluglab.components import Options, takes

MAX_BETA = 0.999  # of one step, as Nichol and Dhariwal clip it: the last step would otherwise divide by zero


class NoiseSchedule(Protocol):
    """What every function of this module is, once a recipe has named it and its options."""

    def __call__(self, timesteps: int) -> Tensor:
        """alpha_bar of each of the levels, float64 T."""
        ...


class ScheduleOptions(Options):
    """The option of every schedule."""

    zero_terminal_snr: bool = False
    """Stretch the schedule so that the last level is pure noise, which is what sampling starts from (Lin et
    al. 2023, algorithm 1). Not for `prediction = "epsilon"`, which says nothing there."""


class LinearOptions(ScheduleOptions):
    beta_start: float = Field(1e-4, gt=0, lt=1)
    """Variance added by the first of 1,000 steps."""
    beta_end: float = Field(0.02, gt=0, lt=1)
    """Variance added by the last of 1,000 steps."""


class CosineOptions(ScheduleOptions):
    offset: float = Field(0.008, ge=0)
    """The s that keeps the first levels from being too small."""


class SigmoidOptions(ScheduleOptions):
    start: float = -3.0
    """Where on the sigmoid the schedule starts."""
    end: float = 3.0
    """Where it ends."""
    temperature: float = Field(1.0, gt=0)
    """Larger is closer to a straight line."""


@takes(LinearOptions)
def linear(options: LinearOptions, timesteps: int) -> Tensor:
    """Variances that rise linearly (Ho et al. 2020, section 4), as 1,000 steps would have them: with fewer
    steps each adds the more, so that the last level is noise for every T."""
    scale = 1000 / timesteps
    betas = torch.linspace(options.beta_start, options.beta_end, timesteps, dtype=torch.float64) * scale
    return _finished(betas, options)


@takes(CosineOptions)
def cosine(options: CosineOptions, timesteps: int) -> Tensor:
    """cos^2((t / T + s) / (1 + s) pi / 2) (Nichol and Dhariwal 2021, eq. 17)."""
    s = options.offset

    def curve(u: Tensor) -> Tensor:
        return torch.cos((u + s) / (1 + s) * math.pi / 2).square()

    return _finished(_betas(curve, timesteps), options)


@takes(SigmoidOptions)
def sigmoid(options: SigmoidOptions, timesteps: int) -> Tensor:
    """A sigmoid from 1 down to 0 (Jabri et al. 2022, section 3.2; Chen 2023, algorithm 1)."""

    def curve(u: Tensor) -> Tensor:
        place = options.start + u * (options.end - options.start)
        ends = torch.tensor([options.start, options.end], dtype=torch.float64)
        first, last = torch.sigmoid(ends / options.temperature)
        return (last - torch.sigmoid(place / options.temperature)) / (last - first)

    return _finished(_betas(curve, timesteps), options)


def _betas(curve: Callable[[Tensor], Tensor], timesteps: int) -> Tensor:
    """1 - alpha_bar_t / alpha_bar_(t-1) of a curve over u = t / T in [0, 1]."""
    share = curve(torch.linspace(0, 1, timesteps + 1, dtype=torch.float64))
    return 1 - share[1:] / share[:-1]


def _finished(betas: Tensor, options: ScheduleOptions) -> Tensor:
    alphas_cumprod = torch.cumprod(1 - betas.clamp(max=MAX_BETA), dim=0)
    return zero_terminal_snr(alphas_cumprod) if options.zero_terminal_snr else alphas_cumprod


def zero_terminal_snr(alphas_cumprod: Tensor) -> Tensor:
    """sqrt(alpha_bar) shifted and scaled: the last is 0, the first as before (Lin et al. 2023, alg. 1)."""
    root = alphas_cumprod.sqrt()
    return ((root - root[-1]) * root[0] / (root[0] - root[-1])).square()
