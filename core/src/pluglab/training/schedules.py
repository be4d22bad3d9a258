"""Schedules: functions of training progress p in [0, 1), so that they resume by themselves."""

from __future__ import annotations

import math

from pydantic import Field

from pluglab.components import Options


class Constant:
    """Always 1."""

    def __call__(self, p: float) -> float:
        return 1.0


class InverseDecay:
    """(1 + alpha p)^-beta: the learning-rate schedule of DANN (Ganin et al. 2016, section 5.2.2)."""

    class Config(Options):
        alpha: float = Field(10.0, ge=0)
        """How fast the rate falls."""
        beta: float = Field(0.75, ge=0)
        """Exponent of the decay."""

    def __init__(self, config: Config) -> None:
        self.alpha, self.beta = config.alpha, config.beta

    def __call__(self, p: float) -> float:
        return float((1 + self.alpha * p) ** -self.beta)


class OneCycle:
    """Cosine up from `start` to 1 during `warmup`, then cosine down to `end` (Smith and Topin 2018)."""

    class Config(Options):
        warmup: float = Field(0.3, ge=0, lt=1)
        """Share of training spent rising."""
        start: float = Field(0.04, ge=0)
        """First multiplier."""
        end: float = Field(1e-4, ge=0)
        """Last multiplier."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(self, p: float) -> float:
        c = self.config
        if p < c.warmup:
            return _cosine(c.start, 1.0, p / c.warmup)
        return _cosine(1.0, c.end, (p - c.warmup) / (1 - c.warmup))


class StepDecay:
    """Times `factor` after every `every` of training."""

    class Config(Options):
        factor: float = Field(0.6, gt=0, le=1)
        """Multiplied in at each drop."""
        every: float = Field(0.25, ge=1e-6, le=1)
        """Share of training between two drops."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(self, p: float) -> float:
        return float(self.config.factor ** int(p / self.config.every))


class SigmoidRamp:
    """2 / (1 + exp(-gamma p)) - 1, from 0 to 1: the adaptation factor of DANN (Ganin et al. 2016, eq. 14)."""

    class Config(Options):
        gamma: float = Field(10.0, gt=0)
        """Steepness; the paper's is 10."""

    def __init__(self, config: Config) -> None:
        self.gamma = config.gamma

    def __call__(self, p: float) -> float:
        return 2 / (1 + math.exp(-self.gamma * p)) - 1


def _cosine(start: float, end: float, t: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * t)) / 2
