"""All scores by evaluator, with what they were measured by, and their tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pluglab.comparison import Group, words
from pluglab.protocols import Table
from pluglab.tables import mean_and_deviation
from pluglab_report.blocks import Block, Fold, Heading, TableBlock, Text
from pluglab_report.chapters import Chapter, first_told
from pluglab_report.turning import fitting
from pluglab_report.words import slug

FLOOR = "real"
ABOUT_FLOOR = "What ends in '/real' compares real images with other real ones: a floor for any generator."


class Scores:
    """A table an evaluator: its scalars by group, its protocol, its own tables folded."""

    title = "Scores and how they were measured"
    shows = ()

    def write(self, chapter: Chapter) -> Sequence[Block]:
        labels = dict.fromkeys(label for group in chapter.groups for label in _evaluations(group))
        return [block for label in labels for block in _of_evaluator(chapter, label)]


def _evaluations(group: Group) -> Mapping[str, Mapping[str, Any]]:
    return first_told(group).evaluations()


def _of_evaluator(chapter: Chapter, label: str) -> Iterator[Block]:
    body = [*_scalars(chapter, label), *_tables(chapter, label)]
    if body:
        yield Heading(label)
        yield from body
        yield from _protocol(chapter, label)


def _scalars(chapter: Chapter, label: str) -> Iterator[Block]:
    having = [group for group in chapter.groups if label in _evaluations(group)]
    names = list(dict.fromkeys(name for group in having for name in _evaluations(group)[label]["scalars"]))
    if names:
        rows = [[name, *(_cell(group, label, name) for group in having)] for name in names]
        table = fitting(Table(["scalar", *(chapter.names[group] for group in having)], rows))
        yield TableBlock(f"{chapter.layout.name}_scores_{slug(label)}", table)
        if any(name.rpartition("/")[2] == FLOOR for name in names):
            yield Text(ABOUT_FLOOR)


def _cell(group: Group, label: str, name: str) -> str:
    import statistics

    found = [record.evaluations().get(label, {}).get("scalars", {}).get(name) for record in group.records]
    values = [value for value in found if value is not None]
    if not values:
        return "-"
    return mean_and_deviation(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)


def _tables(chapter: Chapter, label: str) -> Iterator[Block]:
    """The evaluator's own tables; one that all groups share is shown once."""
    found: dict[str, dict[Group, Mapping[str, Any]]] = {}
    for group in chapter.groups:
        for name, table in _evaluations(group).get(label, {}).get("tables", {}).items():
            found.setdefault(name, {})[group] = table
    for name, by_group in found.items():
        own = [_table(chapter, label, name, group, by_group) for group in _unlike(by_group)]
        yield Fold(f"Table: {name}", own)


def _unlike(by_group: Mapping[Group, Mapping[str, Any]]) -> list[Group]:
    """The groups, or the first of them where all have the same table."""
    groups = list(by_group)
    same = all(table == by_group[groups[0]] for table in by_group.values())
    return groups[:1] if same else groups


def _table(
    chapter: Chapter, label: str, name: str, group: Group, by_group: Mapping[Group, Mapping[str, Any]]
) -> TableBlock:
    table = by_group[group]
    alone = len(_unlike(by_group)) == 1
    who = "" if alone else chapter.names[group]
    parts = [chapter.layout.name, slug(label), slug(name), *([slug(who)] if who else [])]
    return TableBlock("_".join(parts), Table(table["columns"], table["rows"]), who)


def _protocol(chapter: Chapter, label: str) -> Iterator[Block]:
    """What must be equal for two scores to be comparable, as the first group recorded it."""
    said = next(_evaluations(group)[label] for group in chapter.groups if label in _evaluations(group))
    settings = {**said.get("protocol", {})}
    for name, own in said.get("protocols", {}).items():
        settings |= {f"{name}: {key}": value for key, value in own.items()}
    rows = [[key, words(value)] for key, value in settings.items()]
    if rows and said["scalars"]:
        table = Table(["setting", "value"], rows)
        yield Fold("Protocol", [TableBlock(f"{chapter.layout.name}_protocol_{slug(label)}", table)])
