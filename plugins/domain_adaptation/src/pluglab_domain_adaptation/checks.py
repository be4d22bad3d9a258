"""What `lab check` asks of encoders. Only it imports this."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pluglab import UserError
from pluglab.testing import Fault, Part, check
from pluglab_testing import tiny


@check("encoder", "networks")
def encoder_has_networks(part: Part) -> None:
    """Features N x F, logits N x K and N x 1 or N x 2 of them, by a new network at each call"""
    encoder, shape = _encoder(part)
    images = tiny.rows(shape, 0, 4).images
    width = encoder.out_features
    for method in ("features", "private_features"):
        _expect(part, method, getattr(encoder, method)()(images), (4, width))
    _expect(part, "classifier", encoder.classifier(3)(torch.randn(4, width)), (4, 3))
    _expect(part, "discriminator", encoder.discriminator()(torch.randn(4, width)), (4, 1), (4, 2))
    for method in ("features", "private_features", "discriminator"):
        if getattr(encoder, method)() is getattr(encoder, method)():
            raise Fault(f"{method} hands out the same network twice", where=part.at(method))


def _encoder(part: Part) -> tuple[Any, tuple[int, int, int]]:
    """One for the first images that it takes, and their shape. Raises its own refusal of all."""
    refusals = []
    for shape in [part.shape] if part.shape else tiny.SHAPES:
        try:
            return part.built(tiny.spec(shape)), shape
        except UserError as error:
            refusals.append(error)
    raise refusals[0]


def _expect(part: Part, method: str, found: Tensor, *shapes: tuple[int, ...]) -> None:
    if tuple(found.shape) not in shapes:
        wanted = " or ".join(" x ".join(map(str, shape)) for shape in shapes)
        got = " x ".join(map(str, found.shape))
        raise Fault(f"{method} makes {got} of 4: it must be {wanted}", where=part.at(method))
