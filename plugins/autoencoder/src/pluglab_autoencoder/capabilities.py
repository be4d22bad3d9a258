"""What the evaluators here need a trainer to be able to do."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from pluglab.capabilities import capability


@capability("encode images and decode latents")
class TraversesLatents(Protocol):
    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x), N x Z each."""
        ...

    def generate(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Images of latents N x Z, in [-1, 1]."""
        ...


@capability("weigh samples of a posterior")
class WeighsImportance(Protocol):
    @property
    def level_bits(self) -> float:
        """Bits between the units of `log_weights` and the probability of an 8-bit level: 8 for a density."""
        ...

    def log_weights(self, images: Tensor, samples: int) -> Tensor:
        """log p(x, z) - log q(z|x) of `samples` latents of each image's posterior, N x samples, in nats.

        Values of images count in units of [0, 1].
        """
        ...
