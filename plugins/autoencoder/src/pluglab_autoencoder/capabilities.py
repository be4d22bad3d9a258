"""What the evaluators here need a trainer to be able to do."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class TraversesLatents(Protocol):
    """'encode images and decode latents'"""

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x), N x Z each."""
        ...

    def generate(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Images of latents N x Z, in [-1, 1]."""
        ...


@runtime_checkable
class WeighsImportance(Protocol):
    """'weigh samples of a posterior'"""

    def log_weights(self, images: Tensor, samples: int) -> Tensor:
        """log p(x, z) - log q(z|x) of `samples` latents of each image's posterior, N x samples, in nats.

        Values of images count in units of [0, 1]; an attribute `level_bits` says how many bits lie between
        that and the probability of an 8-bit level: 8 for a density, 0 for a probability.
        """
        ...
