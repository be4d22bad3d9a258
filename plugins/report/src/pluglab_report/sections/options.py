"""In what the runs differ, and all that they were told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pluglab.comparison import words
from pluglab.protocols import Table
from pluglab_report.blocks import Block, Fold, TableBlock, Text
from pluglab_report.chapters import Chapter
from pluglab_report.turning import fitting

WIDE = 6  # groups that have a column each
NOT_AN_OPTION = "title", "seeds", "variants", "axes", "table", "reported"

REST = "All other options of data, networks and training are the same; '-' is an option that there is not."


class Options:
    """A column a group: the options that are not the same in all; everything else is folded."""

    title = "Options"
    shows = ()

    def write(self, chapter: Chapter) -> Sequence[Block]:
        return [*_differences(chapter), Fold("All options", [_all(chapter)])]


def _differences(chapter: Chapter) -> Iterator[Block]:
    keys = list(dict.fromkeys(key for group in chapter.groups for key in group.changed))
    if not chapter.several:
        return
    if not keys:
        yield Text("The runs do not differ in any option of the training.")
        return
    lines = [[key, *(words(group.changed.get(key)) or "-" for group in chapter.groups)] for key in keys]
    table = fitting(Table(["option", *chapter.names.values()], lines))
    yield TableBlock(f"{chapter.layout.name}_differences", table, "What differs between the runs")
    yield Text(REST)


def _all(chapter: Chapter) -> TableBlock:
    """A column a group; of many groups one column, which tells what they have in common."""
    groups = chapter.groups
    keys = dict.fromkeys(key for group in groups for key in group.first.options)
    rows = {
        key: [words(group.first.options.get(key)) or "-" for group in groups]
        for key in keys
        if key.partition(".")[0] not in NOT_AN_OPTION
    }
    wide = len(groups) > WIDE
    head = ["value"] if wide else list(chapter.names.values())
    cells = {key: [_common(values)] if wide else values for key, values in rows.items()}
    table = Table(["option", *head], [[key, *values] for key, values in cells.items()])
    return TableBlock(f"{chapter.layout.name}_options", table)


def _common(values: Sequence[str]) -> str:
    return values[0] if len(set(values)) == 1 else "differs"
