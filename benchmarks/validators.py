"""How far label-free scores agree with the accuracy that they stand in for, over finished runs.

    python benchmarks/validators.py runs/adaptation_table [--last]

Of every look that an evaluation had at a run, its scores and its accuracy on the target's test images count;
with --last, only the last look at each run. Printed for each scenario: Spearman's rank correlation of each
score with the accuracy, and the points that are lost by believing it: the best look's accuracy less that of
the look that the score puts first. The last table has their mean over the scenarios and their worst.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scipy.stats import spearmanr

from pluglab.protocols import Table
from pluglab.records import Record, read_records
from pluglab.tables import markdown

Look = Mapping[str, float]
Agreement = tuple[float, float, int]
"""Rank correlation, points lost, looks."""


def looks(events: Iterable[Mapping[str, Any]], *, last: bool) -> list[Look]:
    """The scalars of all evaluations at a step as one mapping, for every step or for the last."""
    found: dict[int, dict[str, float]] = defaultdict(dict)
    for event in events:
        if event["type"] == "evaluation":
            found[event["step"]].update(event["scalars"])
    steps = sorted(found)
    return [found[step] for step in (steps[-1:] if last else steps)]


def agreement(looks: Sequence[Look], score: str, truth: str) -> Agreement | None:
    """None where fewer than three looks have both, or one of them never varies."""
    both = [(look[score], look[truth]) for look in looks if score in look and truth in look]
    if len(both) < 3 or any(len(set(values)) < 2 for values in zip(*both, strict=True)):
        return None
    scores, accuracies = zip(*both, strict=True)
    believed = accuracies[scores.index(max(scores))]
    return float(spearmanr(scores, accuracies).statistic), max(accuracies) - believed, len(both)


def scenario_of(record: Record) -> str:
    """What the recipe calls it, or its data sets."""
    data = record.recipe["data"]
    return record.axes.get("scenario") or ", ".join(f"{role}: {one['name']}" for role, one in data.items())


def by_scenario(records: Iterable[Record], *, last: bool) -> dict[str, list[Look]]:
    found: dict[str, list[Look]] = defaultdict(list)
    for record in records:
        if "target" in record.unlabeled or "target" not in record.trained_on:  # without labels of the target
            found[scenario_of(record)] += looks(record.history(), last=last)
    return found


def one_table(looks: Sequence[Look], prefix: str, truth: str) -> Table:
    scores = sorted({name for look in looks for name in look if name.startswith(prefix)})
    measured = [(name, agreement(looks, name, truth)) for name in scores]
    rows: list[list[str | int]] = [
        [name.removeprefix(prefix), f"{m[0]:.2f}", f"{m[1]:.1f}", m[2]] for name, m in measured if m
    ]
    return Table(["score", "rank correlation", "points lost", "looks"], rows)


def summary(scenarios: Mapping[str, Sequence[Look]], prefix: str, truth: str) -> Table:
    names = sorted(
        {n for found in scenarios.values() for look in found for n in look if n.startswith(prefix)}
    )
    rows: list[list[str]] = []
    for name in names:
        measured = [m for found in scenarios.values() if (m := agreement(found, name, truth))]
        if measured:
            ranks, lost, _ = zip(*measured, strict=True)
            means = f"{sum(ranks) / len(ranks):.2f}", f"{sum(lost) / len(lost):.1f}"
            rows.append(
                [name.removeprefix(prefix), means[0], f"{min(ranks):.2f}", means[1], f"{max(lost):.1f}"]
            )
    return Table(["score", "rank correlation, mean", "lowest", "points lost, mean", "most"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--last", action="store_true", help="only the last look at each run")
    parser.add_argument("--prefix", default="validators/", help="what the scores' names begin with")
    parser.add_argument("--truth", default="accuracy/target", help="the scalar that they stand in for")
    options = parser.parse_args()
    scenarios = by_scenario(read_records(options.folders, print), last=options.last)
    for name, found in scenarios.items():
        print(f"\n{name}\n\n{markdown(one_table(found, options.prefix, options.truth))}", end="")
    print(
        f"\n{len(scenarios)} scenarios\n\n{markdown(summary(scenarios, options.prefix, options.truth))}",
        end="",
    )


if __name__ == "__main__":
    main()
