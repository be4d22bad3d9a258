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

    `interval` is that of the mean difference at the confidence level `level`, by a paired t test; None where
    there are fewer than two seeds, or where the differences do not scatter at all, which tells nothing.
    """

    mean: float
    n: int
    interval: tuple[float, float] | None
    better: Better | None = None
    level: float = 0.95

    @property
    def certain(self) -> bool:
        """Whether the interval excludes 0."""
        return self.interval is not None and (self.interval[0] > 0 or self.interval[1] < 0)

    @property
    def verdict(self) -> str:
        """'ahead' or 'behind', where that is so and known; else 'higher' or 'lower'; empty where open."""
        if not self.certain:
            return ""
        if self.better is None:
            return "higher" if self.mean > 0 else "lower"
        return "ahead" if (self.mean > 0) == (self.better == "max") else "behind"

    def to_dict(self) -> dict[str, Any]:
        interval = list(self.interval) if self.interval else None
        facts = {"mean": self.mean, "n": self.n, "interval": interval, "level": self.level}
        return {**facts, "verdict": self.verdict}


def difference(
    scores: Scores, other: Scores, better: Better | None = None, level: float = 0.95
) -> Difference | None:
    """`scores` minus `other`, seed by seed; None without a seed in common. Imports scipy."""
    seeds = [seed for seed in scores.by_seed if seed in other.by_seed]
    if not seeds:
        return None
    pairs = [scores.by_seed[seed] - other.by_seed[seed] for seed in seeds]
    return Difference(statistics.fmean(pairs), len(pairs), _interval(pairs, level), better, level)


def _interval(differences: Sequence[float], level: float) -> tuple[float, float] | None:
    """The t interval of a mean. Student 1908."""
    scale = max(map(abs, differences))
    if len(differences) < 2 or max(differences) - min(differences) <= 1e-9 * scale:
        return None
    from scipy.stats import t

    n = len(differences)
    mean, error = statistics.fmean(differences), statistics.stdev(differences) / math.sqrt(n)
    low, high = t.interval(level, n - 1, loc=mean, scale=error)
    return float(low), float(high)
