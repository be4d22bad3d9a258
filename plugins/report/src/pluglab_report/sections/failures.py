"""What went wrong: confusions, the worst of the images, warnings."""

from __future__ import annotations

from collections.abc import Sequence

from pluglab.protocols import Table
from pluglab_report.blocks import Block, TableBlock, Text
from pluglab_report.chapters import Chapter
from pluglab_report.sections.pictures import WORST, beside


class Failures:
    """Which classes are taken for which, and images that failed."""

    title = "Failures"
    shows = ("accuracy", "classification", *WORST)

    def write(self, chapter: Chapter) -> Sequence[Block]:
        return beside(chapter, *self.shows)


class Health:
    """Warnings that came while a run was under way."""

    title = "Health"
    shows = ()

    def write(self, chapter: Chapter) -> Sequence[Block]:
        rows = [
            [chapter.names[group], record.seed, event["step"], event["message"]]
            for group in chapter.groups
            for record in group.records
            for event in record.history()
            if event["type"] == "health"
        ]
        if not rows:
            return [Text("No run had a warning.")]
        return [TableBlock(f"{chapter.layout.name}_health", Table(["run", "seed", "step", "warning"], rows))]
