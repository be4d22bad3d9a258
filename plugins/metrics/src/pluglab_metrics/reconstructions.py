"""Test images above what the model makes of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from pluglab.capabilities import Reconstructs
from pluglab.components import Component, Options, Reference
from pluglab.evaluating import RoleData, images_at, sample_rows, select_splits
from pluglab.figures import image_rows
from pluglab.protocols import Evaluation, EvaluationContext, EvaluationData, Figure
from pluglab_metrics.running import RunningMetric, running_metrics

Pair = tuple[Tensor, Tensor]
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
        metrics: list[Annotated[Component, Reference("metric")]] = []
        """Further scores of pairs of images, reconstruction and original: SSIM, LPIPS, ..."""

    needs: ClassVar[tuple[type, ...]] = (Reconstructs,)

    def __init__(self, config: Config) -> None:
        self.config = config
        self.metrics = running_metrics(config.metrics, "reconstructions")

    def check(self, trainer: Any, data: RoleData) -> None:
        """Which kinds of reconstructions there are shows only when they are made; it reads no labels."""
        select_splits(data, self.config.roles, self.config.split)

    def evaluate(self, trainer: Reconstructs, data: RoleData, context: EvaluationContext) -> Evaluation:
        """Scalars `reconstruction_mse/<role>/<kind>`, or `mse_per_pixel/<role>/<kind>` of values in [0, 1];
        and a figure each role."""
        scalars: dict[str, float] = {}
        protocols: dict[str, Mapping[str, Any]] = {}
        figures: dict[str, Figure] = {}
        for metric in self.metrics:
            metric.to(context.device)
        for part in select_splits(data, self.config.roles, self.config.split):
            for kind, pairs in self._pairs(trainer, part, context.seed).items():
                place = f"{part.role}/{kind}"
                scalars[f"{NAMES[self.config.values]}/{place}"] = self._error(pairs)
                for metric in self.metrics:
                    found = {f"{key}/{place}": value for key, value in scored(metric, pairs).items()}
                    scalars |= found
                    protocols |= {key: {"metric": metric.options} for key in found}
            figures[part.role] = self._draw(trainer, part, context.seed)
        protocol = {
            "evaluator": "reconstructions",
            "split": self.config.split,
            "images": self.config.images,
            "values": self.config.values,
        }
        return Evaluation(scalars, figures, protocol=protocol, protocols=protocols)

    def _pairs(self, trainer: Reconstructs, part: EvaluationData, seed: int) -> dict[str, list[Pair]]:
        """Batches of reconstructions and originals, by the kind of reconstruction."""
        pairs: dict[str, list[Pair]] = defaultdict(list)
        for images in images_at(part, sample_rows(part, self.config.images, seed)).split(200):
            for kind, made in reconstruct(trainer, images, part.role):
                pairs[kind].append((made, images))
        return pairs

    def _error(self, pairs: list[Pair]) -> float:
        errors = torch.cat([self._squared_error(images, made) for made, images in pairs])
        return errors.mean().item()

    def _draw(self, trainer: Reconstructs, part: EvaluationData, seed: int) -> Figure:
        images = images_at(part, sample_rows(part, self.config.count, seed))
        rows: list[tuple[str, Tensor, list[str]]] = [("image", images, [])]
        for kind, made in reconstruct(trainer, images, part.role):
            rows.append(
                (kind, made, [f"{error:.4f}" for error in self._squared_error(images, made).tolist()])
            )
        what = f"{part.dataset}, {part.split} images"
        errors = f"mean squared errors of values in {self.config.values}"
        title = f"{what}: reconstructions, {errors}"
        data = {kind: list(map(float, found)) for kind, _, found in rows[1:]}
        return Figure(
            image_rows(rows, title=title), f"{what} above their reconstructions, {errors} below", data
        )

    def _squared_error(self, images: Tensor, made: Tensor) -> Tensor:
        """Mean over channels and pixels of (x - x_hat)^2, one value an image."""
        errors = (images.float() - made).square().flatten(1).mean(1)
        return errors / 4 if self.config.values == "[0, 1]" else errors


def scored(metric: RunningMetric, pairs: list[Pair]) -> dict[str, float]:
    """A metric's scores of batches of reconstructions and originals."""
    metric.reset()
    for made, images in pairs:
        metric.update_images(made, images)
    return metric.compute()


def reconstruct(trainer: Reconstructs, images: Tensor, role: str) -> Iterator[tuple[str, Tensor]]:
    """Each kind of reconstruction by name; a model with one kind calls it 'reconstruction'."""
    made = trainer.reconstruct(images, role)
    kinds = made if isinstance(made, Mapping) else {"reconstruction": made}
    yield from ((kind, value.float()) for kind, value in kinds.items())
