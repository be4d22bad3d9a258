"""How well a model with likelihoods knows images: a capability of this package, and its evaluator."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, Protocol

import torch
from pluglab import Evaluation, Options, capability, derived_seed
from pluglab.evaluating import batches_at, sample_rows, select_splits
from pluglab.protocols import Better, EvaluationContext, EvaluationData, RoleData
from pydantic import Field
from torch import Tensor


@capability("tell the likelihood of images")
class HasLikelihood(Protocol):
    def log_prob(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """log P of the gray levels of images in [-1, 1], nats, N; noise comes from the generator."""
        ...


class BitsPerDim:
    """-log2 P(x) / (C H W): the bits that a perfect code by this model needs for a value. Without a model
    these are the binary logarithm of the number of gray levels, 8 for 256.

    Of images that were not trained on it says how well the model knows their kind; the split `train` beside
    it says how much it has learned by heart.
    """

    class Config(Options):
        roles: tuple[str, ...] | None = None
        """Roles to score; all by default."""
        splits: tuple[str, ...] = ("test", "train")
        """Splits to score."""
        images: int = Field(1000, ge=1)
        """Images of each at most, a fixed choice."""

    needs = (HasLikelihood,)

    def __init__(self, config: Config) -> None:
        self.config = config

    def check(self, trainer: Any, data: RoleData) -> Mapping[str, Collection[str]]:
        """A scalar for each role and split, computed from no labels."""
        return {_name(part): () for part in self._parts(data)}

    def evaluate(self, trainer: HasLikelihood, data: RoleData, context: EvaluationContext) -> Evaluation:
        """Scalars `bits_per_dim/<role>/<split>`."""
        scalars = {_name(part): self._bits(trainer, part, context) for part in self._parts(data)}
        protocol = {"evaluator": "bits_per_dim", "images": self.config.images}
        better: dict[str, Better] = dict.fromkeys(scalars, "min")
        return Evaluation(scalars, headline=tuple(scalars), protocol=protocol, better=better)

    def _parts(self, data: RoleData) -> list[EvaluationData]:
        return [
            part for split in self.config.splits for part in select_splits(data, self.config.roles, split)
        ]

    def _bits(self, trainer: HasLikelihood, part: EvaluationData, context: EvaluationContext) -> float:
        noise = torch.Generator(context.device).manual_seed(derived_seed("bits", context.run_seed))
        rows = sample_rows(part, self.config.images, seed=0)
        nats = [trainer.log_prob(images, noise) for images in batches_at(part, rows)]
        return -torch.cat(nats).double().mean().item() / (math.prod(part.spec.shape) * math.log(2))


def _name(part: EvaluationData) -> str:
    return f"bits_per_dim/{part.role}/{part.split}"
