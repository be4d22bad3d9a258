"""What `lab check` asks of adversarial losses. Only it imports this."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pluglab.testing import Fault, Part, check


@check("gan_loss", "losses", gates=True)
def losses_are_scalars(part: Part) -> None:
    """D's and G's losses are finite scalar tensors, of scores of any size"""
    loss = part.built()
    for scale in (0.0, 1.0, 100.0):
        real, fake = _scores(scale)
        for method, value in {
            "discriminator": loss.discriminator(real, fake),
            "generator": loss.generator(fake, real.detach),
        }.items():
            if not isinstance(value, Tensor) or value.ndim:
                raise Fault(f"{method} must return a scalar tensor", where=part.at(method))
            if not value.isfinite():
                message = f"{method} is {value.item()} for scores around {scale:g}"
                raise Fault(message, help=["softplus and logsigmoid do not overflow"], where=part.at(method))


@check("gan_loss", "directions")
def networks_work_against_each_other(part: Part) -> None:
    """D raises the scores of real images and lowers those of generated ones; G raises these"""
    loss: Any = part.built()
    real, fake = _scores(0.4, around=0.5)  # between the labels of both kinds
    of_real, of_fake = _slopes(loss.discriminator(real, fake), real, fake)
    (of_generator,) = _slopes(loss.generator(fake, real.detach), fake)
    for who, what, slope, method in (
        ("D lowers", "real", of_real, "discriminator"),
        ("D raises", "generated", -of_fake, "discriminator"),
        ("G lowers", "generated", of_generator, "generator"),
    ):
        if slope.sum() >= 0:  # of what is descended
            message = f"{who} the scores of {what} images, or leaves them"
            raise Fault(message, help=["a large score says that an image looks real"], where=part.at(method))


def _slopes(loss: Tensor, *scores: Tensor) -> tuple[Tensor, ...]:
    """Gradients, zero with respect to scores that the loss does not read."""
    return torch.autograd.grad(loss, scores, materialize_grads=True)


def _scores(scale: float, around: float = 0.0) -> tuple[Tensor, Tensor]:
    """Some of real and of generated images, which cannot be told apart by them."""
    values = torch.linspace(-1, 1, 8) * scale + around
    return values.clone().requires_grad_(), values.flip(0).clone().requires_grad_()
