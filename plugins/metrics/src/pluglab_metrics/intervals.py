"""How far a score scatters from one draw of images to another, and what real images would score.

A bootstrap draws images twice, which no new draw does: it makes FID larger, and shrinks the balls of
precision, recall, density and coverage to nothing. So images are left out here, and none is drawn twice: the
jackknife that deletes half of them (Shao and Wu 1989, Annals of Statistics 17(3)), whose variance over halves
is, without any factor, that of the whole.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pluglab.evaluating import sample_rows
from pluglab.protocols import Evaluation, EvaluationData, Table
from pluglab_metrics.extractors.base import Features
from pluglab_metrics.running import RunningMetric

HALVES = 20  # random halves: the deviation is known to a sixth
WIDTH = 1.96  # deviations either way that hold 95 % of a normal distribution
SAID = f"95 %: {WIDTH} deviations either way, from {HALVES} random halves of the images"


def intervals(
    metric: RunningMetric, real: Features, made: Features, labels: Tensor | None
) -> dict[str, tuple[float, float]]:
    """The ends of a 95 % interval around each of a metric's scores, as if real and generated images were
    drawn anew. `labels`: the classes that were asked for."""
    generator = torch.Generator().manual_seed(0)
    found: dict[str, list[float]] = {}
    with warnings.catch_warnings():  # of few images was warned before
        warnings.simplefilter("ignore")
        for _ in range(HALVES):
            some, others = _half(len(real.features), generator), _half(len(made.features), generator)
            asked = None if labels is None else labels[others]
            for key, value in metric.of_features(rows_of(real, some), rows_of(made, others), asked).items():
                found.setdefault(key, []).append(value)
        whole = metric.of_features(real, made, labels)
    return {key: _around(whole[key], values) for key, values in found.items()}


def _half(count: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(count, generator=generator)[: count // 2]


def _around(value: float, halves: list[float]) -> tuple[float, float]:
    mean = sum(halves) / len(halves)
    deviation = math.sqrt(sum((half - mean) ** 2 for half in halves) / len(halves))
    return value - WIDTH * deviation, value + WIDTH * deviation


def rows_of(features: Features, index: Tensor) -> Features:
    return Features(features.features[index], None if features.logits is None else features.logits[index])


def floor_rows(part: EvaluationData, reference: int, n: int) -> tuple[Tensor, Tensor]:
    """Rows of real images to compare with, and of others that take the place of generated ones.

    `reference` and `n`, where the split has so many; else all of the split, in the same proportion.
    """
    count = min(part.spec.count, reference + n)
    first = max(1, min(count - 1, round(count * reference / (reference + n))))
    compared = sample_rows(part, first, 0)
    every = sample_rows(part, count, 0)
    return compared, every[~torch.isin(every, compared)]


@dataclass(frozen=True)
class Floor:
    """Features of real images, and of others that take the place of generated ones; the latter's labels."""

    one: Features
    other: Features
    labels: Tensor | None

    @property
    def said(self) -> str:
        return f"{len(self.other.features):,} real images against {len(self.one.features):,} others"

    def scores(self, metric: RunningMetric) -> dict[str, float]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return metric.of_features(self.one, self.other, self.labels)


@dataclass(frozen=True)
class Beside:
    """What stands beside the score `name`: the ends of its interval, the score of real images."""

    name: str
    low: float
    high: float
    real: float | None
    floor: str


def has_interval(metric: RunningMetric, name: str) -> bool:
    """Scores of images themselves have none, nor have deviations."""
    return metric.reads != "images" and "_std" not in name


def has_floor(metric: RunningMetric, part: EvaluationData) -> bool:
    """Whether real images can be scored: classes are read of labeled ones only."""
    return metric.reads != "classes" or part.labeled


def with_intervals(found: Evaluation, rows: Iterable[Beside]) -> Evaluation:
    """Scalars `<score>/low`, `<score>/high`, `<score>/real`, and all of it as the table `intervals`."""
    scalars, protocols, lines = dict(found.scalars), dict(found.protocols), []
    headline = list(found.headline)
    for row in rows:
        own = dict(protocols[row.name])
        for end, value in (("low", row.low), ("high", row.high)):
            scalars[f"{row.name}/{end}"], protocols[f"{row.name}/{end}"] = value, own | {"interval": SAID}
        if row.real is not None:
            name = f"{row.name}/real"
            scalars[name], protocols[name] = row.real, own | {"floor": row.floor}
            headline.append(name)
        shown = [scalars[row.name], row.low, row.high, row.real]
        lines.append((row.name, *("" if value is None else f"{value:.4g}" for value in shown)))
    table = Table(("score", "value", "low", "high", "real images"), lines)
    return replace(
        found,
        scalars=scalars,
        headline=tuple(headline),
        protocols=protocols,
        tables={**found.tables, "intervals": table},
    )
