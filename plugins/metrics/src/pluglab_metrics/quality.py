"""How good generated images are: any metrics over any feature extractor, with the settings beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pluglab.capabilities import Samples
from pluglab.components import Component, Reference, named
from pluglab.data import to_uint8
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
from pluglab.protocols import Better, DataContext, Evaluation, EvaluationContext, EvaluationData, Table
from pluglab.storage.atomic import replacing, sweep
from pluglab.storage.csv_files import write_csv
from pluglab_metrics.extractors.base import FeatureExtractor, Features, extract
from pluglab_metrics.intervals import (
    Beside,
    Floor,
    floor_rows,
    has_floor,
    has_interval,
    intervals,
    with_intervals,
)
from pluglab_metrics.kept import load_kept
from pluglab_metrics.running import RunningMetric, running_metrics

DAY = 86400.0
"""Seconds after which nobody is still writing a file."""


class GenerationQuality:
    """Metrics of generated against real images, from one set of samples and one set of real images.

    A scalar's name holds the number of images and the extractor, as `fid_10k/inception`; no extractor where
    the metric reads the images themselves. All other settings are its protocol. Features of the real images
    are cached.
    """

    class Config(ReferenceOptions):
        metrics: list[Annotated[Component, Reference("metric")]] = named(["fid", "kid", "precision_recall"])
        """Scores to compute."""
        feature_extractor: Annotated[Component, Reference("feature_extractor")] = named("inception")
        """Network whose features are compared."""
        n: int = Field(10_000, ge=2)
        """Generated images."""
        reference: int = Field(10_000, ge=2)
        """Real images at most: a fixed random choice of the split."""
        intervals: bool = False
        """Beside each score of features also the ends of a 95 % interval, and the score of real images in the
        place of generated ones."""

    needs: ClassVar[tuple[type, ...]] = (Samples,)

    def __init__(self, config: Config) -> None:
        self.config = config
        self.extractor: FeatureExtractor = config.feature_extractor.build()
        self.metrics = running_metrics(config.metrics, "generation_quality")
        self.extracts = any(metric.reads != "images" for metric in self.metrics)

    # Before the training --------------------------------------------------------------------------

    def prepare(self, context: DataContext) -> None:
        """Load, download or train the extractor, and check that the metrics can use it."""
        if self.extracts:
            self.extractor.prepare(context)
        for metric in self.metrics:
            if metric.reads == "classes" and self.extractor.classes is None:
                raise UserError(
                    f"metric '{metric.name}' needs a classifier of the data's own classes, and "
                    f"'{self.extractor.name}' is none",
                    help=['choose feature_extractor = "digit_classifier" with the data set as its `dataset`'],
                )

    def check(self, trainer: Any, data: RoleData) -> Mapping[str, Collection[str]] | None:
        """The scores by name. To a class-conditional model labels say how frequent the classes are."""
        part = reference_split(data, self.config.role, self.config.split, "generation_quality")
        self._check_classes(trainer, part)
        if self.extracts and (fits := getattr(self.extractor, "check", None)):
            fits(part.spec)
        counts = min(self.config.reference, part.spec.count), self.config.n
        if counts[0] < 2:
            raise UserError(f"one image of '{part.role}' is too few to compare with", help=["take more"])
        if self.config.intervals:
            counts = counts[0] // 2, counts[1] // 2
        for metric in self.metrics:
            if check := getattr(metric.metric, "check", None):
                check(*counts)
        if any(metric.keys is None for metric in self.metrics):
            return None
        roles = (part.role,) if classes_of(trainer) and part.labeled else ()
        names = {self._scalar(metric, key): metric for metric in self.metrics for key in metric.keys or ()}
        return dict.fromkeys([*names, *self._beside(names, part)], roles)

    def _beside(self, names: Mapping[str, RunningMetric], part: EvaluationData) -> Iterator[str]:
        """The scalars that stand beside those of `names`."""
        for name, metric in names.items():
            if self.config.intervals and has_interval(metric, name):
                yield from (f"{name}/{end}" for end in ("low", "high"))
                yield from [f"{name}/real"] if has_floor(metric, part) else []

    def _check_classes(self, trainer: Any, part: EvaluationData) -> None:
        names = [metric.name for metric in self.metrics if metric.reads == "classes"]
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

    # After it -------------------------------------------------------------------------------------

    def evaluate(self, trainer: Samples, data: RoleData, context: EvaluationContext) -> Evaluation:
        """Scalars `<metric>_<n>/<extractor>`, and their settings as the table `protocol`."""
        self.move_to(context.device)
        part = reference_split(data, self.config.role, self.config.split, "generation_quality")
        labels = labels_like(trainer, part, self.config.n, context.seed)
        keep_classes(labels, part, context)
        made = self._made(trainer, labels, context)
        frequent = "as frequent as among the real images" if part.labeled else "all alike frequent"
        found = self.compare(made, labels, part, context.cache, "none" if labels is None else frequent)
        rows = [*found.protocol.items(), ("seed", str(context.seed))]
        table = Table(("setting", "value"), [(str(key), str(value)) for key, value in rows])
        return replace(found, tables={**found.tables, "protocol": table})

    def compare(
        self, made: Sequence[Tensor], labels: Tensor | None, part: EvaluationData, cache: Path, asked: str
    ) -> Evaluation:
        """Scores of images from anywhere: batches uint8 N x C x H x W, `n` in all, and the classes that were
        asked for; `asked` says in words how these were chosen."""
        compared = _Compared(lambda: self._real_images(part), made, labels)
        pair = self._both(compared, cache) if self.extracts else None
        scores, protocols, better = self._scores(compared, pair)
        settings = self._settings(part, asked)
        headline = tuple(key for key in scores if "_std_" not in key)
        found = Evaluation(scores, headline=headline, protocol=settings, protocols=protocols, better=better)
        if not self.config.intervals or pair is None:
            return found
        return with_intervals(found, self._rows(pair, labels, part, cache))

    def _both(self, compared: _Compared, cache: Path) -> tuple[Features, Features]:
        """Features of real and of generated images."""
        return self._features(list(compared.real()), cache), extract(self.extractor, compared.made)

    def _rows(
        self, pair: tuple[Features, Features], labels: Tensor | None, part: EvaluationData, cache: Path
    ) -> Iterator[Beside]:
        """What stands beside each score of features."""
        floor = self._floor(part, cache)
        for metric in self.metrics:
            if metric.reads != "images":
                same = floor.scores(metric) if has_floor(metric, part) else {}
                for key, ends in intervals(metric, *pair, labels).items():
                    if has_interval(metric, key):
                        yield Beside(self._scalar(metric, key), *ends, same.get(key), floor.said)

    def _floor(self, part: EvaluationData, cache: Path) -> Floor:
        """Real images in the place of generated ones, against others."""
        rows = floor_rows(part, min(self.config.reference, part.spec.count), self.config.n)
        one, other = (self._features(list(self._eight_bit(part, index)), cache) for index in rows)
        wanted = part.labeled and any(metric.reads == "classes" for metric in self.metrics)
        return Floor(one, other, part.labels[rows[1]] if wanted else None)

    def move_to(self, device: torch.device) -> None:
        if self.extracts:
            self.extractor.to(device)
        for metric in self.metrics:
            metric.to(device)

    def _made(self, trainer: Samples, labels: Tensor | None, context: EvaluationContext) -> list[Tensor]:
        generator = noise(context)
        images = sample_batches(trainer, self.config.n, labels, generator, self.config.batch_size)
        return [to_uint8(batch) for batch in images]

    def _scores(
        self, compared: _Compared, pair: tuple[Features, Features] | None
    ) -> tuple[dict[str, float], dict[str, Mapping[str, Any]], dict[str, Better]]:
        scores: dict[str, float] = {}
        protocols: dict[str, Mapping[str, Any]] = {}
        better: dict[str, Better] = {}
        for metric in self.metrics:
            if metric.reads == "images":
                scored = _of_images(metric, compared)
            else:
                assert pair is not None
                scored = metric.of_features(*pair, compared.labels)
            found = {self._scalar(metric, key): value for key, value in scored.items()}
            scores |= found
            protocols |= {key: {"metric": metric.options} for key in found}
            better |= metric.said_of(found)
        return scores, protocols, better

    def _real_images(self, part: EvaluationData) -> Iterator[Tensor]:
        """Those that count, uint8 on the CPU."""
        return self._eight_bit(part, sample_rows(part, self.config.reference, 0))

    def _eight_bit(self, part: EvaluationData, index: Tensor) -> Iterator[Tensor]:
        return (to_uint8(images).cpu() for images in batches_at(part, index))

    def real_features(self, part: EvaluationData, cache: Path) -> Features:
        """Features of the real images that count."""
        return self._features(list(self._real_images(part)), cache)

    def _features(self, batches: Sequence[Tensor], cache: Path) -> Features:
        """Of real images: extracted once, and kept under a name that is a hash of them."""
        digest = hashlib.sha256(self.extractor.identity.encode())
        for images in batches:
            digest.update(f"{tuple(images.shape)}".encode())
            digest.update(images.contiguous().numpy().tobytes())
        chunks = (chunk for images in batches for chunk in images.split(self.config.batch_size))
        path = cache / "reference" / f"{self.extractor.name}-{digest.hexdigest()[:24]}.pt"
        return cached(path, lambda: extract(self.extractor, chunks))

    def _scalar(self, metric: RunningMetric, key: str) -> str:
        network = "" if metric.reads == "images" else f"/{self.extractor.name}"
        return f"{key}_{format_count(self.config.n)}{network}"

    def _settings(self, part: EvaluationData, asked: str) -> dict[str, Any]:
        """All that a comparison must hold fixed."""
        count = min(self.config.reference, part.spec.count)
        return {
            **(network_notes(self.extractor) if self.extracts else {}),
            "generated images": f"{self.config.n:,}",
            "real images": f"{count:,} of {part.spec.count:,}: {part.dataset}, {part.split}",
            "hash of the real images": part.digest[:16],
            "classes asked for": asked,
            "quantization": "both rounded to 8 bits, never compressed",
        }


class _Compared:
    """Real images, in batches from the start at each call; generated ones, and the classes asked for."""

    def __init__(
        self, real: Callable[[], Iterator[Tensor]], made: Sequence[Tensor], labels: Tensor | None
    ) -> None:
        self.real, self.made, self.labels = real, made, labels


def _of_images(metric: RunningMetric, compared: _Compared) -> dict[str, float]:
    metric.reset()
    for images in compared.real() if metric.tells_real else ():
        metric.update_images(images, real=True)
    for images in compared.made:
        metric.update_images(images, real=False if metric.tells_real else None)
    return metric.compute()


def network_notes(extractor: FeatureExtractor) -> dict[str, str]:
    """What there is to know of a feature extractor."""
    weights = hashlib.sha256(extractor.identity.encode()).hexdigest()[:16]
    return {"feature extractor": extractor.name, "weights": weights, **extractor.notes}


def keep_classes(labels: Tensor | None, part: EvaluationData, context: EvaluationContext) -> None:
    """Write down the class that each image was asked for, beside the pictures: `<label>_classes.csv`, which
    `lab sample --labels` reads, so that the same images can be made again."""
    if labels is not None:
        rows = [(part.spec.class_name(label),) for label in labels.tolist()]
        write_csv(context.folder / f"{context.label}_classes.csv", ("label",), rows)


def format_count(n: int) -> str:
    """10000 as '10k', 1500 as '1500'."""
    return f"{n // 1000}k" if n % 1000 == 0 else str(n)


def cached(path: Path, compute: Callable[[], Features]) -> Features:
    """Features from this file, or computed and saved; a file that is damaged is written anew."""
    saved = load_kept(path, {"features", "logits"}, "computed again")
    if saved is not None:
        return Features(saved["features"], saved["logits"])
    found = compute()
    sweep(path.parent, "*.pt", DAY)
    with replacing(path) as temporary:
        torch.save(found._asdict(), temporary)
    return found
