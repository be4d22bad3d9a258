"""What each latent dimension draws."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pluglab.components import Options
from pluglab.evaluating import RoleData, images_at, sample_rows, select_splits
from pluglab.figures import image_grid
from pluglab.protocols import Evaluation, EvaluationContext, EvaluationData, Figure
from pluglab_autoencoder.capabilities import TraversesLatents
from pluglab_autoencoder.objectives import kl_to_standard_normal

ACTIVE = 0.01  # variance over images of a posterior mean (Burda et al. 2016, section 5.2)


class LatentTraversal:
    """An image's latent vector with one dimension at a time moved through the prior, a row a dimension.

    The rows are the dimensions that carry most: those with the largest mean KL divergence from the prior,
    which stands beside them in nats. A dimension is active if its posterior mean varies over the images by
    more than 0.01 (Burda et al. 2016, section 5.2).
    """

    class Config(Options):
        rows: int = Field(10, ge=1, le=40)
        """Dimensions shown."""
        columns: int = Field(11, ge=2, le=40)
        """Values of each."""
        reach: float = Field(3.0, gt=0)
        """The values go from minus to plus this, in deviations of the prior."""
        pictures: int = Field(2, ge=1, le=10)
        """Images whose latent vectors are moved, a picture each."""
        images: int = Field(1000, ge=2)
        """Images that the divergences are taken over."""
        roles: tuple[str, ...] | None = None
        """Roles to show; all by default."""
        split: str = "test"
        """Split to show."""

    needs: ClassVar[tuple[type, ...]] = (TraversesLatents,)

    def __init__(self, config: Config) -> None:
        self.config = config

    def check(self, trainer: Any, data: RoleData) -> Mapping[str, Collection[str]]:
        """It reads no labels."""
        parts = select_splits(data, self.config.roles, self.config.split)
        return {f"active_dimensions/{part.role}": () for part in parts}

    def evaluate(self, trainer: TraversesLatents, data: RoleData, context: EvaluationContext) -> Evaluation:
        """Scalars `active_dimensions/<role>`, and figures `<role>_<number>`."""
        scalars, figures = {}, {}
        for part in select_splits(data, self.config.roles, self.config.split):
            kl, means = self._statistics(trainer, part, context.seed)
            scalars[f"active_dimensions/{part.role}"] = float((means.var(0) > ACTIVE).sum())
            shown = images_at(part, sample_rows(part, self.config.pictures, context.seed))
            for i, mean in enumerate(trainer.posterior(shown)[0]):
                figures[f"{part.role}_{i + 1}"] = self._draw(trainer, mean, kl, part)
        protocol = {"evaluator": "latent_traversal", "split": self.config.split, "images": self.config.images}
        return Evaluation(scalars, figures, protocol=protocol)

    def _statistics(
        self, trainer: TraversesLatents, part: EvaluationData, seed: int
    ) -> tuple[Tensor, Tensor]:
        """Mean KL divergence of each dimension, Z, and the posterior means, N x Z."""
        images = images_at(part, sample_rows(part, self.config.images, seed))
        found = [trainer.posterior(some) for some in images.split(200)]
        means, log_variances = (torch.cat(column) for column in zip(*found, strict=True))
        return kl_to_standard_normal(means, log_variances).mean(0), means

    def _draw(self, trainer: TraversesLatents, origin: Tensor, kl: Tensor, part: EvaluationData) -> Figure:
        c = self.config
        chosen = kl.argsort(descending=True)[: c.rows].tolist()
        moved = traversed(origin, chosen, torch.linspace(-c.reach, c.reach, c.columns))
        names = [f"z{j}: {kl[j]:.2f} nats" for j in chosen]
        title = f"One latent dimension a row, from -{c.reach:g} to {c.reach:g}"
        page = image_grid(trainer.generate(moved, None), c.columns, row_names=names, title=title)
        caption = (
            f"An image of {part.dataset}: a latent dimension a row, from -{c.reach:g} to "
            f"{c.reach:g}; beside it what it carries in nats"
        )
        return Figure(page, caption, {"dimension": chosen, "kl": [float(kl[j]) for j in chosen]})


def traversed(origin: Tensor, dimensions: list[int], values: Tensor) -> Tensor:
    """Copies of a latent vector Z, row by row: dimension i of `dimensions` takes each of `values` in turn."""
    moved = origin.repeat(len(dimensions), len(values), 1)
    for row, j in zip(moved, dimensions, strict=True):
        row[:, j] = values.to(row)
    return moved.flatten(0, 1)
