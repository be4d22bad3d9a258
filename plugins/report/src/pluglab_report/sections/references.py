"""The papers behind what the runs used."""

from __future__ import annotations

from collections.abc import Sequence

from pluglab_report.blocks import Block, References
from pluglab_report.chapters import Chapter
from pluglab_report.papers import sources_of


class Cited:
    """Every component knows its paper; those of the recipes are cited."""

    title = "References"
    shows = ()

    def write(self, chapter: Chapter) -> Sequence[Block]:
        sources = sources_of([record.recipe for record in chapter.records], chapter.registry)
        return [References(sources)] if sources else []
