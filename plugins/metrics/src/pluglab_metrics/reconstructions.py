"""Test images above what the model makes of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from pluglab.components import Options
from pluglab.protocols import Evaluation, EvaluationContext, EvaluationData, Reconstructs
from pluglab_metrics.figures import image_rows
from pluglab_metrics.roles import RoleData, choose, images_at, pick

NAMES = {"[-1, 1]": "reconstruction_mse", "[0, 1]": "mse_per_pixel"}


class Reconstructions:
    """Test images above their reconstructions, a row each kind, with the mean squared error under each.

    Errors are means over pixels and channels.
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
        values: Literal["[-1, 1]", "[0, 1]"] = "[-1, 1]"
        """Range of the pixel values that errors are in; in [0, 1] an error is a quarter as large."""

    needs: ClassVar[tuple[type, ...]] = (Reconstructs,)

    def __init__(self, config: Config) -> None:
        self.config = config

    def evaluate(self, trainer: Reconstructs, data: RoleData, context: EvaluationContext) -> Evaluation:
        """Scalars `reconstruction_mse/<role>/<kind>`, or `mse_per_pixel/<role>/<kind>` of values in [0, 1];
        and a figure each role."""
        parts = choose(data, self.config.roles, self.config.split)
        scalars = {
            f"{NAMES[self.config.values]}/{part.role}/{kind}": value
            for part in parts
            for kind, value in self._errors(trainer, part, context.seed).items()
        }
        figures = {part.role: self._draw(trainer, part, context.seed) for part in parts}
        return Evaluation(scalars, figures)

    def _errors(self, trainer: Reconstructs, part: EvaluationData, seed: int) -> dict[str, float]:
        errors = defaultdict(list)
        for images in images_at(part, pick(part, self.config.images, seed)).split(200):
            for kind, made in reconstruct(trainer, images, part.role):
                errors[kind].append(self._squared_error(images, made))
        return {kind: torch.cat(values).mean().item() for kind, values in errors.items()}

    def _draw(self, trainer: Reconstructs, part: EvaluationData, seed: int) -> np.ndarray:
        images = images_at(part, pick(part, self.config.count, seed))
        rows: list[tuple[str, Tensor, list[str]]] = [("image", images, [])]
        for kind, made in reconstruct(trainer, images, part.role):
            rows.append(
                (kind, made, [f"{error:.4f}" for error in self._squared_error(images, made).tolist()])
            )
        errors = f"mean squared errors of values in {self.config.values}"
        return image_rows(rows, f"{part.role}, {part.split}: reconstructions and {errors}")

    def _squared_error(self, images: Tensor, made: Tensor) -> Tensor:
        """Mean over channels and pixels of (x - x_hat)^2, one value an image."""
        errors = (images.float() - made).square().flatten(1).mean(1)
        return errors / 4 if self.config.values == "[0, 1]" else errors


def reconstruct(trainer: Reconstructs, images: Tensor, role: str) -> Iterator[tuple[str, Tensor]]:
    """Each kind of reconstruction by name; a model with one kind calls it 'reconstruction'."""
    made = trainer.reconstruct(images, role)
    kinds = made if isinstance(made, Mapping) else {"reconstruction": made}
    yield from ((kind, value.float()) for kind, value in kinds.items())
