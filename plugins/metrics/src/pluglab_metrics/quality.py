"""How good generated images are: any metrics over any feature extractor, with the settings beside them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pluglab.components import Component, Reference, named
from pluglab.data import to_uint8
from pluglab.errors import UserError
from pluglab.protocols import DataContext, Evaluation, EvaluationContext, EvaluationData, Samples, Table
from pluglab.sampling import classes_of
from pluglab_metrics.extractors.base import FeatureExtractor, Features, extract
from pluglab_metrics.roles import RoleData, batches_at, imitated, pick
from pluglab_metrics.sampling import AgainstReal, asked_classes, noise, sampled


class GenerationQuality:
    """Metrics of generated against real images, from one set of samples and one set of real images.

    A scalar's name holds the number of images and the extractor, as `fid_10k/inception`, so that scores with
    unlike settings are never in one column; the table `protocol` holds the rest. Features of the real
    images are cached.
    """

    class Config(AgainstReal):
        metrics: list[Annotated[Component, Reference("metric")]] = named(["fid", "kid", "precision_recall"])
        """Scores to compute."""
        feature_extractor: Annotated[Component, Reference("feature_extractor")] = named("inception")
        """Network whose features are compared."""
        n: int = Field(10_000, ge=2)
        """Generated images."""
        reference: int = Field(10_000, ge=2)
        """Real images at most: a fixed random choice of the split."""

    needs: ClassVar[tuple[type, ...]] = (Samples,)

    def __init__(self, config: Config) -> None:
        self.config = config
        self.extractor: FeatureExtractor = config.feature_extractor.build()
        self.metrics = [metric.build() for metric in config.metrics]

    def prepare(self, context: DataContext) -> None:
        """Load, download or train the extractor, and check that the metrics can use it."""
        self.extractor.prepare(context)
        for use in self.config.metrics:
            if getattr(use.target, "needs_named_classes", False) and self.extractor.classes is None:
                raise UserError(
                    f"metric '{use.name}' needs a classifier of the data's own classes, and "
                    f"'{self.extractor.name}' is none",
                    help=['choose feature_extractor = "digit_classifier" with the data set as its `dataset`'],
                )

    def evaluate(self, trainer: Samples, data: RoleData, context: EvaluationContext) -> Evaluation:
        """Scalars `<metric>_<n>/<extractor>` and the table `protocol`."""
        self.extractor.to(context.device)
        part = imitated(data, self.config.role, self.config.split, "generation_quality")
        self._check_classes(trainer, part)
        labels = asked_classes(trainer, part, self.config.n, context.seed)
        real = self._real(part, context.cache)
        made = self._made(trainer, labels, context)
        scalars = {self._scalar(key): value for key, value in self._scores(real, made, labels).items()}
        protocol = Table(("setting", "value"), self._protocol(part, len(real.features), labels, context.seed))
        headline = tuple(key for key in scalars if "_std_" not in key)
        return Evaluation(scalars, tables={"protocol": protocol}, headline=headline)

    def _check_classes(self, trainer: Samples, part: EvaluationData) -> None:
        names = [use.name for use in self.config.metrics if getattr(use.target, "needs_named_classes", False)]
        if names and not classes_of(trainer):
            raise UserError(
                f"metric '{names[0]}' needs a trainer that makes images of a class asked for",
                help=[f"leave '{names[0]}' out of `metrics`, or train a class-conditional model"],
            )
        if names and self.extractor.classes != part.spec.classes:
            raise UserError(
                f"'{names[0]}': '{self.extractor.name}' knows other classes than the role '{part.role}'",
                help=["choose the role's own data set as the extractor's `dataset`"],
            )

    def _real(self, part: EvaluationData, cache: Path) -> Features:
        index = pick(part, self.config.reference, 0)
        batches = [to_uint8(images).cpu() for images in batches_at(part, index, 500)]
        digest = hashlib.sha256(self.extractor.identity.encode())
        for images in batches:
            digest.update(f"{tuple(images.shape)}".encode())
            digest.update(images.contiguous().numpy().tobytes())
        chunks = (chunk for images in batches for chunk in images.split(self.config.batch_size))
        path = cache / "reference" / f"{self.extractor.name}-{digest.hexdigest()[:24]}.pt"
        return cached(path, lambda: extract(self.extractor, chunks))

    def _made(self, trainer: Samples, labels: Tensor | None, context: EvaluationContext) -> Features:
        generator = noise(context, "generation_quality")
        images = sampled(trainer, self.config.n, labels, generator, self.config.batch_size)
        return extract(self.extractor, map(to_uint8, images))

    def _scores(self, real: Features, made: Features, labels: Tensor | None) -> dict[str, float]:
        scores: dict[str, float] = {}
        for metric in self.metrics:
            metric.reset()
            metric.update(real, real=True)
            metric.update(made, real=False, labels=labels)
            scores.update(metric.compute())
        return scores

    def _scalar(self, key: str) -> str:
        return f"{key}_{short(self.config.n)}/{self.extractor.name}"

    def _protocol(
        self, part: EvaluationData, count: int, labels: Tensor | None, seed: int
    ) -> list[tuple[str, str]]:
        return [
            ("feature extractor", self.extractor.name),
            *self.extractor.notes.items(),
            ("generated images", f"{self.config.n:,}, seed {seed}"),
            ("real images", f"{count:,} of {part.spec.count:,}: {part.role}, {part.split}"),
            ("classes asked for", "none" if labels is None else "as frequent as among the real images"),
            ("quantisation", "both rounded to 8 bits, never compressed"),
        ]


def short(n: int) -> str:
    """10000 as '10k', 1500 as '1500'."""
    return f"{n // 1000}k" if n % 1000 == 0 else str(n)


def cached(path: Path, compute: Any) -> Features:
    """Features from this file, or computed and saved; a file that cannot be read is written anew."""
    try:
        saved = torch.load(path, weights_only=True)
        return Features(saved["features"], saved["logits"])
    except Exception:
        found: Features = compute()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    torch.save(found._asdict(), part)
    part.replace(path)
    return found
