"""Adversarial losses (kind `gan_loss`): of scores N, large for images that look real. In nats or unitless."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pluglab.components import Options

Scores = Callable[[], Tensor]
"""D's scores N, computed when they are asked for."""


class AdversarialLoss(Protocol):
    """What D and G descend. Both networks' terms are means over the batch.

    There are as many real images as generated ones, so that they can be taken in pairs.
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """The loss of D, given its scores of real and of generated images."""
        ...

    def generator(self, fake: Tensor, real: Scores) -> Tensor:
        """The loss of G, given D's scores of generated images.

        `real()` are those of the real ones, without a gradient. A loss that does not ask for them saves a
        pass through D.
        """
        ...


class LabelOptions(Options):
    """What D is told, for the losses that have labels: 1 is real, 0 is generated."""

    real_label: tuple[float, float] = (1.0, 1.0)
    """Range that the label of each real image is drawn from: (0.9, 0.9) is one-sided smoothing (Salimans et
    al. 2016), (0.7, 1.2) are random soft labels."""
    fake_label: tuple[float, float] = (0.0, 0.0)
    """Range that the label of each generated image is drawn from: (0.1, 0.1) makes smoothing two-sided."""
    flips: float = Field(0.0, ge=0, lt=1)
    """Share of images that D is told the label of the other kind for."""


def labels(options: LabelOptions, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Labels of real and of generated images, shaped as their scores."""
    of_real, of_fake, flips = options.real_label, options.fake_label, options.flips
    return _drawn(real, of_real, of_fake, flips), _drawn(fake, of_fake, of_real, flips)


def _drawn(scores: Tensor, own: tuple[float, float], other: tuple[float, float], flips: float) -> Tensor:
    label = _uniform(scores, *own)
    if not flips:
        return label
    return torch.where(torch.rand_like(scores) < flips, _uniform(scores, *other), label)


def _uniform(like: Tensor, low: float, high: float) -> Tensor:
    if low == high:
        return torch.full_like(like, low, requires_grad=False)
    return torch.empty_like(like, requires_grad=False).uniform_(low, high)


class NonSaturating:
    """D: -y log s(d) - (1 - y) log(1 - s(d)) of both kinds. G: -log s(d) (Goodfellow et al. 2014, section 3).

    s is the logistic function: the sigmoid of a network that prints one belongs here.
    """

    Config = LabelOptions

    def __init__(self, config: LabelOptions) -> None:
        self.options = config

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        of_real, of_fake = labels(self.options, real, fake)
        cross_entropy = F.binary_cross_entropy_with_logits
        return cross_entropy(real, of_real) + cross_entropy(fake, of_fake)

    def generator(self, fake: Tensor, real: Scores) -> Tensor:
        return F.softplus(-fake).mean()


class LeastSquares:
    """D: (d - y)^2 / 2 of both kinds. G: (d - 1)^2 / 2 (Mao et al. 2017, eq. 9)."""

    Config = LabelOptions

    def __init__(self, config: LabelOptions) -> None:
        self.options = config

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        of_real, of_fake = labels(self.options, real, fake)
        return (F.mse_loss(real, of_real) + F.mse_loss(fake, of_fake)) / 2

    def generator(self, fake: Tensor, real: Scores) -> Tensor:
        return (fake - 1).square().mean() / 2


class Hinge:
    """D: max(0, 1 - d) of real, max(0, 1 + d) of generated images. G: -d (Miyato et al. 2018, eq. 16, 17)."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()

    def generator(self, fake: Tensor, real: Scores) -> Tensor:
        return -fake.mean()


class Wasserstein:
    """D: mean d of generated minus mean d of real images. G: -d (Arjovsky et al. 2017, eq. 2 and 3).

    Meaningful only for a D that is kept Lipschitz: by `gradient_penalty`, or spectral normalization.
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return fake.mean() - real.mean()

    def generator(self, fake: Tensor, real: Scores) -> Tensor:
        return -fake.mean()


class Relativistic:
    """D: -log s(d(x) - d(y)) of pairs of a real x and a generated y. G: the same of d(y) - d(x)
    (Jolicoeur-Martineau 2018, eq. 3 and 4; Huang et al. 2024, eq. 2).

    Only differences count: G is not done where D's scores cross 0, and has to reach each real image.
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(fake - real).mean()

    def generator(self, fake: Tensor, real: Scores) -> Tensor:
        return F.softplus(real() - fake).mean()
