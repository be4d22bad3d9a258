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
from pluglab.protocols import Better, Evaluation, EvaluationContext, EvaluationData, Figure
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
        and two figures each role, of a fixed choice of images and of those that it redraws worst."""
        scalars: dict[str, float] = {}
        protocols: dict[str, Mapping[str, Any]] = {}
        better: dict[str, Better] = {}
        figures: dict[str, Figure] = {}
        for metric in self.metrics:
            metric.to(context.device)
        for part in select_splits(data, self.config.roles, self.config.split):
            index = sample_rows(part, self.config.images, context.seed)
            found_pairs = self._pairs(trainer, part, index)
            for kind, pairs in found_pairs.items():
                place = f"{part.role}/{kind}"
                scalars[error := f"{NAMES[self.config.values]}/{place}"] = self._errors(pairs).mean().item()
                better[error] = "min"
                for metric in self.metrics:
                    found = {f"{key}/{place}": value for key, value in scored(metric, pairs).items()}
                    scalars |= found
                    protocols |= {key: {"metric": metric.options} for key in found}
                    better |= metric.said_of(found)
            figures[part.role] = self._draw(trainer, part, context.seed)
            figures[f"worst_reconstructions_{part.role}"] = self._worst(part, index, found_pairs)
        protocol = {
            "evaluator": "reconstructions",
            "split": self.config.split,
            "images": self.config.images,
            "values": self.config.values,
        }
        return Evaluation(scalars, figures, protocol=protocol, protocols=protocols, better=better)

    def _pairs(self, trainer: Reconstructs, part: EvaluationData, index: Tensor) -> dict[str, list[Pair]]:
        """Batches of reconstructions and originals, by the kind of reconstruction."""
        pairs: dict[str, list[Pair]] = defaultdict(list)
        for images in images_at(part, index).split(200):
            for kind, made in reconstruct(trainer, images, part.role):
                pairs[kind].append((made, images))
        return pairs

    def _errors(self, pairs: list[Pair]) -> Tensor:
        return torch.cat([self._squared_error(images, made) for made, images in pairs])

    def _draw(self, trainer: Reconstructs, part: EvaluationData, seed: int) -> Figure:
        index = sample_rows(part, self.config.count, seed)
        images = images_at(part, index)
        made = dict(reconstruct(trainer, images, part.role))
        return self._picture(images, made, f"{part.split.capitalize()} images of {part.dataset}", index)

    def _worst(self, part: EvaluationData, index: Tensor, pairs: dict[str, list[Pair]]) -> Figure:
        """The images whose best reconstruction, of all kinds, is worst."""
        best = torch.stack([self._errors(found) for found in pairs.values()]).amin(0).cpu()
        worst = best.argsort(descending=True, stable=True)[: self.config.count]
        images = torch.cat([images for _, images in next(iter(pairs.values()))])[worst]
        made = {kind: torch.cat([one for one, _ in found])[worst] for kind, found in pairs.items()}
        what = f"The worst of {len(index):,} {part.split} images of {part.dataset}"
        return self._picture(images, made, what, index[worst])

    def _picture(self, images: Tensor, made: Mapping[str, Tensor], what: str, index: Tensor) -> Figure:
        """Images above each kind of reconstruction; its data are the errors, and the images' rows."""
        errors = {kind: self._squared_error(images, one).tolist() for kind, one in made.items()}
        rows: list[tuple[str, Tensor, list[str]]] = [("image", images, [])]
        rows += [(kind, one, [f"{error:.4f}" for error in errors[kind]]) for kind, one in made.items()]
        words = f"mean squared errors of values in {self.config.values}"
        caption = f"{what} above their reconstructions, {words} below"
        data = {"row": index, **errors}
        return Figure(image_rows(rows, title=f"{what}, {words}"), caption, data)

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
