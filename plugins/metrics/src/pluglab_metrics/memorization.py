"""Whether a generator copies its training images: samples beside those nearest to them, and two shares.

A model that draws its training images again has a better FID, precision and coverage than real images that it
has never seen. Two questions tell it:

* Are samples nearer to training images than held-out real images are? (Meehan et al. 2020, arXiv:2004.05675,
  the Mann-Whitney statistic of section 3.1, over all pairs.)
* Is a sample far nearer to one training image than to the next, as a copy is? (Yoon et al. 2023, Diffusion
  probabilistic models generalize when they fail to memorize.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pluglab.capabilities import Samples
from pluglab.components import Component, Reference
from pluglab.data import to_float, to_uint8
from pluglab.errors import UserError
from pluglab.evaluating import (
    ReferenceOptions,
    RoleData,
    batches_at,
    classes_of,
    labels_like,
    noise,
    reference_split,
    sample_batches,
    sample_rows,
)
from pluglab.figures import image_rows
from pluglab.protocols import Better, DataContext, Evaluation, EvaluationContext, EvaluationData, Figure
from pluglab_metrics.extractors.base import FeatureExtractor
from pluglab_metrics.quality import format_count, keep_classes, network_notes

BATCH = 500  # images at a time
COPY = 1 / 3  # of the distance to the second nearest, below which the nearest was copied (Yoon et al. 2023)
NAME = "nearest_training_images"


class Nearest:
    """The nearest of many rows, which come in batches, to each of a few: `distances` and `index`, N x k, the
    nearest first."""

    def __init__(self, rows: Tensor, k: int = 2) -> None:
        self.rows = rows
        self.distances = torch.full((len(rows), k), torch.inf)
        self.index = torch.full((len(rows), k), -1)

    def update(self, others: Tensor, numbers: Tensor) -> None:
        """`others`: M x d; `numbers`: int64 M, what they are called."""
        found = torch.cdist(self.rows, others)
        every = torch.cat([self.distances, found], dim=1)
        names = torch.cat([self.index, numbers.expand(len(self.rows), -1)], dim=1)
        best = every.topk(self.distances.shape[1], dim=1, largest=False)
        self.distances, self.index = best.values, names.gather(1, best.indices)

    @property
    def ratios(self) -> Tensor:
        """Distance to the nearest over that to the second, N; 1 where both are 0."""
        first, second = self.distances[:, 0], self.distances[:, 1]
        return torch.where(second > 0, first / second, 1)


def share_nearer(made: Tensor, held_out: Tensor) -> float:
    """Of all pairs of a sample and a held-out image, the share in which the sample is nearer to the training
    images; ties count half. 0.5 where both are alike, 1 for copies. Distances, N and M of them."""
    made, order = made.contiguous(), held_out.sort().values
    nearer, at_least = (len(order) - torch.searchsorted(order, made, right=right) for right in (True, False))
    return (nearer + at_least).double().mean().item() / (2 * len(order))


class NearestTrainingImages:
    """Samples above the training images nearest to them, and how near these are.

    `nearer`: in how many percent of all pairs of a sample and a held-out real image the sample is nearer to
    the training images; 50 is what new images of the same kind have, 100 what copies have. `copied`: percent
    of samples that are less than a third as far from their nearest training image as from the second.
    """

    class Config(ReferenceOptions):
        n: int = Field(1000, ge=2)
        """Generated images."""
        held_out: str = "test"
        """Split of real images that the model was not trained on; empty: none, so `nearer` is left out."""
        feature_extractor: Annotated[Component, Reference("feature_extractor")] | None = None
        """Network whose features are compared; none: pixels."""
        shown: int = Field(8, ge=1, le=40)
        """Samples in each picture."""
        neighbors: int = Field(2, ge=2, le=10)
        """Training images below each."""

    needs: ClassVar[tuple[type, ...]] = (Samples,)

    def __init__(self, config: Config) -> None:
        self.config = config
        extractor = config.feature_extractor
        self.extractor: FeatureExtractor | None = extractor.build() if extractor else None

    def prepare(self, context: DataContext) -> None:
        if self.extractor is not None:
            self.extractor.prepare(context)

    def check(self, trainer: Any, data: RoleData) -> Mapping[str, Collection[str]]:
        """Labels say only how frequent the classes are that a class-conditional model is asked for."""
        real = reference_split(data, self.config.role, self.config.split, NAME)
        if real.spec.count <= self.config.neighbors:
            raise UserError(f"'{NAME}' needs more training images than {real.spec.count}")
        if self.config.held_out:
            self._held_out(data, real)
        if self.extractor is not None and (fits := getattr(self.extractor, "check", None)):
            fits(real.spec)
        roles = (real.role,) if classes_of(trainer) and real.labeled else ()
        return dict.fromkeys(self._names(), roles)

    def _held_out(self, data: RoleData, real: EvaluationData) -> EvaluationData:
        try:
            return data[real.role][self.config.held_out]
        except UserError as error:
            way = f"without held-out images: `held_out = \"\"` of '{NAME}'"
            raise UserError(error.message, help=[*error.help, way]) from None

    def _names(self) -> list[str]:
        where = "pixels" if self.extractor is None else self.extractor.name
        found = ["nearer", "copied"] if self.config.held_out else ["copied"]
        return [f"{name}_{format_count(self.config.n)}/{where}" for name in found]

    def evaluate(self, trainer: Samples, data: RoleData, context: EvaluationContext) -> Evaluation:
        """Scalars `nearer_<n>/<extractor or pixels>` and `copied_...`, in percent; figures `samples` and
        `closest`."""
        c = self.config
        if self.extractor is not None:
            self.extractor.to(context.device)
        real = reference_split(data, c.role, c.split, NAME)
        labels = labels_like(trainer, real, c.n, context.seed)
        keep_classes(labels, real, context)
        made = [to_uint8(x).cpu() for x in sample_batches(trainer, c.n, labels, noise(context), c.batch_size)]
        near = self._nearest(made, real)
        values = [100 * (near.ratios < COPY).double().mean().item()]
        if c.held_out:
            values.insert(0, 100 * self._nearer(near, self._held_out(data, real), real))
        scalars = dict(zip(self._names(), values, strict=True))
        figures = self._pictures(torch.cat(made), near, real)
        protocol, names = self._protocol(real, data), tuple(scalars)
        better: dict[str, Better] = {names[-1]: "min"}
        return Evaluation(scalars, figures, headline=names, protocol=protocol, better=better)

    def _nearer(self, near: Nearest, held_out: EvaluationData, real: EvaluationData) -> float:
        other = self._nearest(_eight_bit(held_out, sample_rows(held_out, self.config.n, 0)), real)
        return share_nearer(near.distances[:, 0], other.distances[:, 0])

    def _nearest(self, batches: Iterable[Tensor], real: EvaluationData) -> Nearest:
        """The training images nearest to these images."""
        found = Nearest(torch.cat([self._described(images) for images in batches]), self.config.neighbors)
        rows = torch.arange(real.spec.count).split(BATCH)
        for index in rows:
            for images in _eight_bit(real, index):
                found.update(self._described(images), index)
        return found

    def _described(self, images: Tensor) -> Tensor:
        """uint8 images as what is compared, N x d on the CPU."""
        if self.extractor is None:
            return to_float(images).flatten(1)
        parts = images.split(self.config.batch_size)
        return torch.cat([self.extractor(part).features.float().cpu() for part in parts])

    def _pictures(self, made: Tensor, near: Nearest, real: EvaluationData) -> dict[str, Figure]:
        shown, words = min(self.config.shown, len(made)), "above the training images nearest to them"
        first, closest = torch.arange(shown), near.ratios.argsort()[:shown]
        unchosen = f"The first {shown} samples, unchosen, {words}"
        chosen = f"The {shown} samples that are most like a single training image, {words}"
        return {
            "samples": self._picture(made, near, real, first, unchosen),
            "closest": self._picture(made, near, real, closest, chosen),
        }

    def _picture(
        self, made: Tensor, near: Nearest, real: EvaluationData, chosen: Tensor, caption: str
    ) -> Figure:
        index, ratios = near.index[chosen, : self.config.neighbors], near.ratios[chosen].tolist()
        below = _images_at(real, index.T.flatten()).split(len(chosen))
        names = [f"nearest {i}" for i in range(1, len(below) + 1)]
        rows = [(name, part, ()) for name, part in zip(names, below, strict=True)]
        page = image_rows([("sample", made[chosen], [f"{ratio:.2f}" for ratio in ratios]), *rows])
        words = f"{caption}; the numbers are the distance to the first over that to the second"
        data = {"sample": chosen.tolist(), "training_rows": index.tolist(), "ratio": ratios}
        return Figure(page, words, data)

    def _protocol(self, real: EvaluationData, data: RoleData) -> dict[str, Any]:
        c = self.config
        notes = {"compared": "pixels"} if self.extractor is None else network_notes(self.extractor)
        held_out = self._held_out(data, real) if c.held_out else None
        count = min(c.n, held_out.spec.count) if held_out else 0
        return {
            "evaluator": NAME,
            **notes,
            "generated images": c.n,
            "training images": f"{real.spec.count:,}: {real.dataset}, {real.split}",
            "hash of the training images": real.digest[:16],
            "held-out images": f"{count:,}: {c.held_out}, {held_out.digest[:16]}" if held_out else "none",
        }


def _eight_bit(part: EvaluationData, index: Tensor) -> Iterable[Tensor]:
    return (to_uint8(images).cpu() for images in batches_at(part, index))


def _images_at(part: EvaluationData, index: Tensor) -> Tensor:
    """At these row numbers, in any order and more than once."""
    rows, back = index.unique(return_inverse=True)
    return torch.cat(list(_eight_bit(part, rows)))[back]
