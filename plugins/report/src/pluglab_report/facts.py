"""Sentences that one may quote: each says only what the runs show."""

from __future__ import annotations

from collections.abc import Iterator

from pluglab.comparison import Column, Difference, Group
from pluglab.tables import decimals
from pluglab_report.chapters import Chapter
from pluglab_report.networks import architectures_of
from pluglab_report.words import duration, listed


def facts_of(chapter: Chapter) -> list[str]:
    """Scores, how far groups are from the first of their scenario, sizes, times, and what was hidden.

    What hidden labels have picked is never what others are compared with, unless there is nothing else.
    """
    return [*_scores(chapter), *_differences(chapter), *_sizes(chapter), *_times(chapter), *_hidden(chapter)]


def _scores(chapter: Chapter) -> Iterator[str]:
    comparison = chapter.comparison
    for column in comparison.columns:
        found = {group: comparison.scores(group, column) for group in chapter.groups}
        words = [
            f"{chapter.names[group]} {scores.text()} ({_seeds(scores.n)})"
            for group, scores in found.items()
            if scores is not None
        ]
        if words:
            yield f"{column.title}: {', '.join(words)}."


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"


def _differences(chapter: Chapter) -> Iterator[str]:
    comparison = chapter.comparison
    for scenario in comparison.scenarios:
        groups = comparison.groups_in(scenario)
        base = next((group for group in groups if not group.oracle), groups[0])
        others = [group for group in groups if group is not base]
        where = f" ({scenario})" if len(comparison.scenarios) > 1 else ""
        for column in comparison.columns:
            for group in others:
                found = comparison.difference(group, base, column, scenario)
                if found is not None and found.mean:
                    yield _difference(chapter, group, base, column, found) + where + "."


def _difference(chapter: Chapter, group: Group, base: Group, column: Column, found: Difference) -> str:
    places = decimals(found.mean)
    direction = "above" if found.mean > 0 else "below"
    far = f"{abs(found.mean):.{places}f} {direction} {chapter.names[base]}"
    words = f"{chapter.names[group]} is {far} in {column.title}"
    if found.interval is None or found.bootstrap is None:
        return f"{words}, over {_seeds(found.n)}: too few to say whether that is chance"
    interval, other = (
        f"{low:+.{places}f} to {high:+.{places}f}" for low, high in (found.interval, found.bootstrap)
    )
    words = f"{words}, over {found.n} seeds (95 % interval {interval}, by bootstrap {other})"
    return words if found.certain else f"{words}, which may be chance"


def _sizes(chapter: Chapter) -> Iterator[str]:
    for names, architecture in architectures_of(chapter):
        parts = [f"{one.name} {one.parameters:,}" for one in architecture.networks]
        yield f"Parameters of {listed(names)}: {', '.join(parts)}."


def _times(chapter: Chapter) -> Iterator[str]:
    for group in chapter.groups:
        found = [record.results.get("seconds", {}).get("training") for record in group.records]
        seconds = [value for value in found if value is not None]
        if seconds:
            mean = duration(sum(seconds) / len(seconds))
            each = " each" if len(seconds) > 1 else ""
            steps = f"{group.first.steps:,} steps" if group.first.steps else "its training"
            yield f"{chapter.names[group]} took {mean} for {steps}{each}."


def _hidden(chapter: Chapter) -> Iterator[str]:
    for group in chapter.groups:
        hidden = group.first.state.get("protocol", {}).get("labels_hidden", [])
        if hidden:
            yield f"{chapter.names[group]} was trained without the labels of {listed(hidden)}."
