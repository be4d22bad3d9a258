"""Test images above what the model makes of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from pluglab.components import Options
from pluglab.protocols import Evaluation, EvaluationContext, EvaluationData, Reconstructs
from pluglab_metrics.figures import image_rows
from pluglab_metrics.roles import RoleData, choose, images_at, pick


class Reconstructions:
    """Test images above their reconstructions, a row each kind, with the mean squared error under each.

    Errors are means over pixels and channels of images in [-1, 1].
    """

    class Config(Options):
        count: int = Field(10, ge=1, le=40)
        """Images in the picture."""
        images: int = Field(1000, ge=1)
        """Images that the mean error is taken over."""
        roles: tuple[str, ...] | None = None
        """Roles to show; all by default."""
        split: str = "test"
        """Split to show."""

    needs: ClassVar[tuple[type, ...]] = (Reconstructs,)

    def __init__(self, config: Config) -> None:
        self.config = config

    def evaluate(self, trainer: Reconstructs, data: RoleData, context: EvaluationContext) -> Evaluation:
        """Scalars `reconstruction_mse/<role>/<kind>`, and a figure each role."""
        parts = choose(data, self.config.roles, self.config.split)
        scalars = {
            f"reconstruction_mse/{part.role}/{kind}": value
            for part in parts
            for kind, value in self._errors(trainer, part, context.seed).items()
        }
        figures = {part.role: self._draw(trainer, part, context.seed) for part in parts}
        return Evaluation(scalars, figures)

    def _errors(self, trainer: Reconstructs, part: EvaluationData, seed: int) -> dict[str, float]:
        errors = defaultdict(list)
        for images in images_at(part, pick(part, self.config.images, seed)).split(200):
            for kind, made in reconstruct(trainer, images, part.role):
                errors[kind].append(squared_error(images, made))
        return {kind: torch.cat(values).mean().item() for kind, values in errors.items()}

    def _draw(self, trainer: Reconstructs, part: EvaluationData, seed: int) -> np.ndarray:
        images = images_at(part, pick(part, self.config.count, seed))
        rows: list[tuple[str, Tensor, list[str]]] = [("image", images, [])]
        for kind, made in reconstruct(trainer, images, part.role):
            rows.append((kind, made, [f"{error:.4f}" for error in squared_error(images, made).tolist()]))
        return image_rows(rows, f"{part.role}, {part.split}: reconstructions and mean squared errors")


def reconstruct(trainer: Reconstructs, images: Tensor, role: str) -> Iterator[tuple[str, Tensor]]:
    """Each kind of reconstruction by name; a model with one kind calls it 'reconstruction'."""
    made = trainer.reconstruct(images, role)
    kinds = made if isinstance(made, Mapping) else {"reconstruction": made}
    yield from ((kind, value.float()) for kind, value in kinds.items())


def squared_error(images: Tensor, made: Tensor) -> Tensor:
    """Mean over channels and pixels of (x - x_hat)^2, one value an image."""
    return (images.float() - made).square().flatten(1).mean(1)
