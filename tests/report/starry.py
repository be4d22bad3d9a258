"""A plugin that adds a section to reports."""

from __future__ import annotations

from collections.abc import Sequence

from pluglab import Registrar
from pluglab_report import Block, Chapter, Facts, Text


class Stars:
    """Shows the stranger's plot, which is then not among the others."""

    title = "Stars"
    shows = ("stranger/plot",)

    def write(self, chapter: Chapter) -> Sequence[Block]:
        found = chapter.pictures(*self.shows)
        return [Text(f"{len(found)} row of stars"), Facts([record.label for record in chapter.records])]


def lab_register(registry: Registrar) -> None:
    registry.add("report_section", "stars", Stars, summary="stars")
