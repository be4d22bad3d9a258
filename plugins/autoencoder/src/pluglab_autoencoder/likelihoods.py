"""Likelihoods p(x|z) of images with values in [0, 1], given what a decoder draws (kind `likelihood`)."""

from __future__ import annotations

import math
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pluglab.components import Options
from pluglab_autoencoder.objectives import normal_log_density

Parameters = tuple[Tensor, ...]


class Likelihood(Protocol):
    """What the trainer asks of a likelihood. Images here are N x C x H x W in [0, 1]."""

    @property
    def level_bits(self) -> float:
        """Bits between a value's density and the probability of its 8-bit level: 8 for a density, else 0."""
        ...

    def head(self) -> nn.Module:
        """A new last layer of a decoder: what it draws, N x C x H x W, to the distribution's parameters."""
        ...

    def log_prob(self, parameters: Parameters, images: Tensor) -> Tensor:
        """log p(x|z) in nats, N."""
        ...

    def mean(self, parameters: Parameters) -> Tensor:
        """The expected image."""
        ...


class Gaussian:
    """Every value is normal around the reconstruction, with one variance for all.

    The learned variance balances the two terms of the bound by itself: it settles at the mean squared error
    of the reconstructions (Rybkin et al. 2021, section 4.1).
    """

    class Config(Options):
        variance: Literal["learned", "fixed"] = "learned"
        """Whether training changes the variance."""
        deviation: float = Field(0.3, gt=0)
        """The fixed standard deviation, or the learned one's first value; in units of [0, 1]. One that starts
        below the error of the first steps makes the latents carry more than they need."""

    level_bits = 8.0

    def __init__(self, config: Config) -> None:
        self.config = config

    def head(self) -> nn.Module:
        """To the mean, through a sigmoid, and the log-variance, a scalar."""
        return _GaussianHead(self.config.deviation, learned=self.config.variance == "learned")

    def log_prob(self, parameters: Parameters, images: Tensor) -> Tensor:
        """log p(x|z) in nats, N."""
        return normal_log_density(images, *parameters)

    def mean(self, parameters: Parameters) -> Tensor:
        """The expected image."""
        return parameters[0]


class Bernoulli:
    """Every value is the probability of a one: minus the binary cross-entropy.

    Meant for black-and-white images. For values in between it is no normalized density, so its likelihoods
    compare with no other's.
    """

    level_bits = 0.0

    def head(self) -> nn.Module:
        """To the logits."""
        return _BernoulliHead()

    def log_prob(self, parameters: Parameters, images: Tensor) -> Tensor:
        """log p(x|z) in nats, N."""
        (logits,) = parameters
        return -F.binary_cross_entropy_with_logits(logits, images, reduction="none").flatten(1).sum(1)

    def mean(self, parameters: Parameters) -> Tensor:
        """The expected image."""
        return parameters[0].sigmoid()


class _GaussianHead(nn.Module):
    log_variance: Tensor
    FLOOR = 2 * math.log(1 / 256)  # of the log-variance: a deviation of one 8-bit level

    def __init__(self, deviation: float, *, learned: bool) -> None:
        super().__init__()
        start = torch.tensor(2 * math.log(deviation))
        self.learned = learned
        if learned:
            self.log_variance = nn.Parameter(start)
        else:
            self.register_buffer("log_variance", start)

    def forward(self, drawn: Tensor) -> Parameters:
        log_variance = self.log_variance
        if self.learned:
            # Bounded below, softly: images that are drawn without any error would send it to minus infinity.
            log_variance = self.FLOOR + F.softplus(log_variance - self.FLOOR)
        return drawn.sigmoid(), log_variance


class _BernoulliHead(nn.Module):
    def forward(self, drawn: Tensor) -> Parameters:
        return (drawn,)
