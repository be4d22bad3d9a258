"""Scores of one protocol, by seed: their mean, how far they scatter, and whether others are ahead of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pluglab.protocols import Better
from pluglab.records import Record
from pluglab.tables import mean_and_deviation

Interval = tuple[float, float]
RESAMPLES = 9999  # of the bootstrap; its limits scatter by about a hundredth of their distance


@dataclass(frozen=True)
class Column:
    """A scalar under one protocol; `number` tells it from the same scalar under another one.

    `settings` are the protocol, as the first run that has it recorded it.
    """

    scalar: str
    protocol: str
    number: int = 0
    better: Better | None = field(default=None, compare=False)
    settings: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def title(self) -> str:
        return f"{self.scalar} [{self.number}]" if self.number else self.scalar

    def value(self, record: Record) -> float | None:
        """The score of a run; None where it has none of this protocol, or one that was not finite."""
        results = record.results
        if results.get("protocols", {}).get(self.scalar, "") != self.protocol:
            return None
        value: float | None = results.get("scalars", {}).get(self.scalar)
        return value


def columns_of(records: Sequence[Record], wanted: Sequence[str] = ()) -> list[Column]:
    """The scalars that are `wanted`, or those that belong in a table of these runs.

    Scalars of one name that were measured under unlike protocols have a column each, numbered from 1.
    """
    names = wanted or list(dict.fromkeys(name for record in records for name in record.headline))
    return [column for name in names for column in _columns(name, records)]


def _columns(name: str, records: Sequence[Record]) -> list[Column]:
    of_protocol: dict[str, Record] = {}
    for record in records:
        if name in record.scalars:
            of_protocol.setdefault(record.results.get("protocols", {}).get(name, ""), record)
    several = len(of_protocol) > 1
    return [
        Column(name, protocol, i if several else 0, _better(name, record), _settings(name, record))
        for i, (protocol, record) in enumerate(of_protocol.items(), 1)
    ] or [Column(name, "")]


def _settings(name: str, record: Record) -> Mapping[str, Any]:
    for evaluation in record.results.get("evaluations", {}).values():
        if name in evaluation.get("scalars", {}):
            own: Mapping[str, Any] = evaluation.get("protocols", {}).get(name, {})
            return {**evaluation.get("protocol", {}), **own}
    return {}


def _better(name: str, record: Record) -> Better | None:
    """What its evaluator says of the scalar, or else the recipe that picks a checkpoint by it."""
    select = record.recipe.get("select", {})
    said = [one.get("better", {}).get(name) for one in record.results.get("evaluations", {}).values()]
    said += [select.get("mode", "max")] if select.get("metric") == name else []
    said += ["max"] if name == f"oracle {select.get('oracle')}" else []
    return next((better for better in said if better), None)


def notes_on(columns: Iterable[Column]) -> list[str]:
    """A line for each numbered column: in what its protocol differs from the others of that name."""
    numbered = [column for column in columns if column.number]
    lines = []
    for column in numbered:
        others = [other.settings for other in numbered if other.scalar == column.scalar]
        own = column.settings
        differing = [key for key in own if any(other.get(key) != own[key] for other in others)]
        words = ", ".join(f"{key}: {own[key]}" for key in differing) or "other settings"
        lines.append(f"{column.title}: {words}")
    return lines


@dataclass(frozen=True)
class Scores:
    """One score of runs that differ in nothing but the seed. `runs` counts those that lack it, too."""

    by_seed: Mapping[int, float]
    runs: int

    @property
    def n(self) -> int:
        return len(self.by_seed)

    @property
    def mean(self) -> float:
        return statistics.fmean(self.by_seed.values())

    @property
    def deviation(self) -> float | None:
        """The sample deviation, divided by n - 1; None for a single run."""
        return statistics.stdev(self.by_seed.values()) if self.n > 1 else None

    def text(self, places: int | None = None) -> str:
        """'91.00 ± 1.41', with a note where runs lack the score; `places` after the point, or as many as the
        mean needs."""
        missing = f" ({self.n} of {self.runs} seeds)" if self.n < self.runs else ""
        return mean_and_deviation(self.mean, self.deviation, places) + missing

    def to_dict(self) -> dict[str, Any]:
        """All of it as numbers."""
        seeds = {str(seed): value for seed, value in self.by_seed.items()}
        return {
            "mean": self.mean,
            "deviation": self.deviation,
            "n": self.n,
            "runs": self.runs,
            "seeds": seeds,
        }


def scores_of(records: Sequence[Record], column: Column) -> Scores | None:
    """None where no run has the score."""
    found = {record.seed: column.value(record) for record in records}
    values = {seed: value for seed, value in found.items() if value is not None}
    return Scores(values, len(records)) if values else None


# Differences -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """How much higher one group's score is than another's, over the `n` seeds that both have.

    `interval` is that of the mean difference at the confidence level `level`, by a paired t test, and
    `bootstrap` the same by resampling the seeds, which assumes no distribution. Both are None where there are
    fewer than two seeds, or where the differences do not scatter at all, which tells nothing.
    """

    mean: float
    n: int
    interval: Interval | None
    bootstrap: Interval | None = None
    better: Better | None = None
    level: float = 0.95

    @property
    def certain(self) -> bool:
        """Whether both intervals exclude 0: that of the bootstrap alone is too narrow for few seeds."""
        found = self.interval, self.bootstrap
        return all(one is not None and (one[0] > 0 or one[1] < 0) for one in found)

    @property
    def verdict(self) -> str:
        """'ahead' or 'behind', where that is so and known; else 'higher' or 'lower'; empty where open."""
        if not self.certain:
            return ""
        if self.better is None:
            return "higher" if self.mean > 0 else "lower"
        return "ahead" if (self.mean > 0) == (self.better == "max") else "behind"

    def to_dict(self) -> dict[str, Any]:
        intervals = {"interval": _listed(self.interval), "bootstrap": _listed(self.bootstrap)}
        return {"mean": self.mean, "n": self.n, **intervals, "level": self.level, "verdict": self.verdict}


def _listed(interval: Interval | None) -> list[float] | None:
    return None if interval is None else list(interval)


def difference(
    scores: Scores, other: Scores, better: Better | None = None, level: float = 0.95
) -> Difference | None:
    """`scores` minus `other`, seed by seed; None without a seed in common. Imports scipy."""
    seeds = [seed for seed in scores.by_seed if seed in other.by_seed]
    if not seeds:
        return None
    pairs = [scores.by_seed[seed] - other.by_seed[seed] for seed in seeds]
    nothing = _says_nothing(pairs)
    student, resampled = (
        None if nothing else _interval(pairs, level),
        None if nothing else _bootstrap(pairs, level),
    )
    return Difference(statistics.fmean(pairs), len(pairs), student, resampled, better, level)


def _says_nothing(differences: Sequence[float]) -> bool:
    scale = max(map(abs, differences))
    return len(differences) < 2 or max(differences) - min(differences) <= 1e-9 * scale


def _interval(differences: Sequence[float], level: float) -> Interval:
    """The t interval of a mean. Student 1908."""
    from scipy.stats import t

    n = len(differences)
    mean, error = statistics.fmean(differences), statistics.stdev(differences) / math.sqrt(n)
    low, high = t.interval(level, n - 1, loc=mean, scale=error)
    return float(low), float(high)


def _bootstrap(differences: Sequence[float], level: float) -> Interval:
    """The bias-corrected and accelerated interval of a mean, always the same. Efron 1987."""
    import numpy as np
    from scipy.stats import bootstrap

    found = bootstrap((differences,), np.mean, n_resamples=RESAMPLES, confidence_level=level, rng=0)
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
