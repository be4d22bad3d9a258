"""Asking a generator for images: of given classes, from given noise, in batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from pydantic import Field
from torch import Tensor

from pluglab.components import Options
from pluglab.data import derived_seed
from pluglab.protocols import EvaluationContext, EvaluationData, Samples
from pluglab.sampling import classes_of


@runtime_checkable
class Generates(Protocol):
    """'turn latents into images'"""

    def latents(self, n: int, generator: torch.Generator) -> Tensor:
        """n latents, N x ...; Gaussian, or whatever the model was trained with."""
        ...

    def generate(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Their images, float in [-1, 1]; `labels` int64 n for a class-conditional model."""
        ...


class AgainstReal(Options):
    """Options of what holds generated images against real ones."""

    role: str | None = None
    """Role that the real images come from; the only one by default."""
    split: str = "train"
    """Split that the real images come from; papers take the training images."""
    batch_size: int = Field(100, ge=1)
    """Images a forward pass."""


def noise(context: EvaluationContext, *parts: Any) -> torch.Generator:
    """A generator on the evaluation's device, a function of the run's seed and the parts."""
    return torch.Generator(context.device).manual_seed(derived_seed("noise", context.seed, *parts))


def asked_classes(trainer: Samples, real: EvaluationData, n: int, seed: int) -> Tensor | None:
    """n classes to ask for, as frequent as among the real images; None for an unconditional model."""
    classes = classes_of(trainer)
    if not classes:
        return None
    generator = torch.Generator().manual_seed(derived_seed("classes", seed))
    if not real.labelled:
        return torch.randint(classes, (n,), generator=generator)
    return real.labels[torch.randint(len(real.labels), (n,), generator=generator)]


def sampled(
    trainer: Samples, n: int, labels: Tensor | None, generator: torch.Generator, batch_size: int
) -> Iterator[Tensor]:
    """n images in batches, float in [-1, 1]."""
    for start in range(0, n, batch_size):
        count = min(batch_size, n - start)
        asked = None if labels is None else labels[start : start + count].to(generator.device)
        yield trainer.sample(count, asked, generator)
