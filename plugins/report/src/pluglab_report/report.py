"""A report, before it has a format: chapters of sections of blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pluglab_report.blocks import Block, Fold, References, Slot, Source
from pluglab_report.chapters import Chapter
from pluglab_report.layouts import Layout
from pluglab_report.sections import Section

if TYPE_CHECKING:
    from pluglab.plugins.registry import Registry

AFTER_OTHERS = "discussion"  # sections of plugins come before it, where a layout does not name them


@dataclass(frozen=True)
class WrittenSection:
    """`key` is the section's name, with that of its chapter."""

    key: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class WrittenChapter:
    title: str
    sections: Sequence[WrittenSection]


@dataclass(frozen=True)
class Report:
    title: str
    author: str
    chapters: Sequence[WrittenChapter]

    def blocks(self) -> Iterator[Block]:
        """All of them, those within folds too."""
        for chapter in self.chapters:
            for section in chapter.sections:
                yield from _with_inner(section.blocks)

    @property
    def slots(self) -> list[Slot]:
        return [block for block in self.blocks() if isinstance(block, Slot)]

    @property
    def sources(self) -> list[Source]:
        """All that is cited, each once."""
        found = (one for block in self.blocks() if isinstance(block, References) for one in block.sources)
        return list({source.key: source for source in found}.values())


def _with_inner(blocks: Sequence[Block]) -> Iterator[Block]:
    for block in blocks:
        yield block
        if isinstance(block, Fold):
            yield from _with_inner(block.blocks)


def assemble(chapters: Sequence[Chapter], title: str = "", author: str = "") -> Report:
    """Have every section written."""
    written = [_written(chapter) for chapter in chapters]
    titles = dict.fromkeys(chapter.title for chapter in chapters)
    return Report(title or "; ".join(titles), author, written)


def _written(chapter: Chapter) -> WrittenChapter:
    sections = _sections(chapter.layout, chapter.registry)
    claimed = tuple(name for section in sections.values() for name in section.shows)
    chapter = replace(chapter, shown_elsewhere=claimed)
    found = [
        WrittenSection(f"{chapter.layout.name}-{name}", section.title, list(section.write(chapter)))
        for name, section in sections.items()
    ]
    return WrittenChapter(chapter.layout.title, [section for section in found if section.blocks])


def _sections(layout: Layout, registry: Registry) -> dict[str, Section]:
    """Those that the layout names, in its order; those of other plugins before the discussion.

    Raises `UserError` for a section that there is not.
    """
    order = list(layout.sections)
    place = order.index(AFTER_OTHERS) if AFTER_OTHERS in order else len(order)
    ours = registry.find("report_section", "results").plugin
    found = [entry.name for entry in registry.entries("report_section") if entry.plugin != ours]
    names = [*order[:place], *(name for name in found if name not in order), *order[place:]]
    return {name: registry.find("report_section", name).load()() for name in names}
