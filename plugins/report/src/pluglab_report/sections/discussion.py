"""The author's own words, with facts to quote."""

from __future__ import annotations

from collections.abc import Sequence

from pluglab_report.blocks import Block, Slot
from pluglab_report.chapters import Chapter
from pluglab_report.facts import facts_of


class Discussion:
    """A slot for each question of the layout; the facts stand at the first."""

    title = "Discussion"
    shows = ()

    def write(self, chapter: Chapter) -> Sequence[Block]:
        facts = facts_of(chapter)
        return [
            Slot(f"{chapter.layout.name}/{key}", question, facts if place == 0 else ())
            for place, (key, question) in enumerate(chapter.layout.questions.items())
        ]
