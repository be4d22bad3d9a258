"""The sections of a report: what they must be, and those that come along."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pluglab_report.blocks import Block
from pluglab_report.chapters import Chapter


class Section(Protocol):
    """One section: a component of the kind `report_section`. It is made without arguments."""

    @property
    def title(self) -> str: ...

    @property
    def shows(self) -> tuple[str, ...]:
        """Evaluators whose pictures it shows: 'sample_grid', or 'accuracy/confusion_*' for some of them.

        Pictures that no section of a report shows come in its section `others`.
        """
        ...

    def write(self, chapter: Chapter) -> Sequence[Block]:
        """What it says; nothing, where there is nothing to say, and the section is left out."""
        ...
