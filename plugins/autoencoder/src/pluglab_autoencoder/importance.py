"""Log-likelihoods that the evidence lower bound only bounds loosely."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pluglab.components import Options
from pluglab.evaluating import RoleData, images_at, sample_rows, select_splits
from pluglab.protocols import Better, Evaluation, EvaluationContext, EvaluationData
from pluglab_autoencoder.capabilities import WeighsImportance
from pluglab_autoencoder.objectives import importance_weighted_bound


class ImportanceWeightedLikelihood:
    """log(1/k sum_i p(x, z_i) / q(z_i|x)) with k samples of the posterior (Burda et al. 2016, eq. 8).

    It rises to log p(x) with k; values for unlike k do not compare, so k stands in their names. In nats an
    image, and in bits a value: -log2 p / (C H W), plus 8 where p is a density on [0, 1]. These are the bits
    of an 8-bit level, as long as the density is smooth at that scale. The evidence lower bound is the mean of
    the same weights' logarithms.
    """

    class Config(Options):
        samples: int = Field(64, ge=1)
        """Samples k of each image's posterior."""
        images: int = Field(500, ge=1)
        """Images that the mean is taken over."""
        batch_size: int = Field(256, ge=1)
        """Latents decoded in one forward pass."""
        roles: tuple[str, ...] | None = None
        """Roles to look at; all by default."""
        split: str = "test"
        """Split to look at."""

    needs: ClassVar[tuple[type, ...]] = (WeighsImportance,)

    def __init__(self, config: Config) -> None:
        self.config = config

    def check(self, trainer: Any, data: RoleData) -> Mapping[str, Collection[str]]:
        """It reads no labels."""
        k, parts = self.config.samples, select_splits(data, self.config.roles, self.config.split)
        names = f"log_likelihood_k{k}", "elbo", f"bits_per_dim_k{k}"
        return {f"{name}/{part.role}": () for part in parts for name in names}

    def evaluate(self, trainer: Any, data: RoleData, context: EvaluationContext) -> Evaluation:
        """Scalars `log_likelihood_k<k>/<role>` and `elbo/<role>` in nats, and `bits_per_dim_k<k>/<role>`."""
        k, scalars, headline = self.config.samples, {}, []
        for part in select_splits(data, self.config.roles, self.config.split):
            weights = self._log_weights(trainer, part, context.seed)
            nats = importance_weighted_bound(weights).mean().item()
            values = part.spec.channels * part.spec.height * part.spec.width
            scalars[f"log_likelihood_k{k}/{part.role}"] = nats
            scalars[f"elbo/{part.role}"] = weights.mean().item()
            scalars[f"bits_per_dim_k{k}/{part.role}"] = trainer.level_bits - nats / values / math.log(2)
            headline.append(f"bits_per_dim_k{k}/{part.role}")
        protocol = {
            "evaluator": "importance_weighted_likelihood",
            "split": self.config.split,
            "images": self.config.images,
            "samples": k,
        }
        better: dict[str, Better] = {key: "min" if key.startswith("bits") else "max" for key in scalars}
        return Evaluation(scalars, headline=tuple(headline), protocol=protocol, better=better)

    def _log_weights(self, trainer: WeighsImportance, part: EvaluationData, seed: int) -> Tensor:
        """float64 N x k on the CPU."""
        k, size = self.config.samples, self.config.batch_size
        shares = [min(size, k - start) for start in range(0, k, size)]
        images = images_at(part, sample_rows(part, self.config.images, seed))
        rows = [
            torch.cat([trainer.log_weights(some, share) for share in shares], dim=1)
            for some in images.split(max(1, size // k))
        ]
        return torch.cat(rows).double().cpu()
