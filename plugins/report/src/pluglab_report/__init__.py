"""`lab report`: what runs have found, as one page, as Markdown, as LaTeX.

A plugin adds a section: a component of the kind `report_section`, as `pluglab_report.sections.Section` says,
which is given a `Chapter` and returns blocks.

    reading       run folders -> `chapters.Chapter`
    sections      a chapter -> `blocks`, which know no format
    rendering     blocks -> report.html, report.md, report.tex, by templates
"""

from typing import TYPE_CHECKING

from pluglab import lazily

__all__ = [
    "Block",
    "Chapter",
    "Code",
    "Facts",
    "Fold",
    "Heading",
    "Picture",
    "Pictures",
    "Slot",
    "TableBlock",
    "Text",
]

if TYPE_CHECKING:
    from pluglab_report.blocks import Block as Block
    from pluglab_report.blocks import Code as Code
    from pluglab_report.blocks import Facts as Facts
    from pluglab_report.blocks import Fold as Fold
    from pluglab_report.blocks import Heading as Heading
    from pluglab_report.blocks import Picture as Picture
    from pluglab_report.blocks import Pictures as Pictures
    from pluglab_report.blocks import Slot as Slot
    from pluglab_report.blocks import TableBlock as TableBlock
    from pluglab_report.blocks import Text as Text
    from pluglab_report.chapters import Chapter as Chapter
else:  # a plugin is imported by every command, and most want none of these
    __getattr__, __dir__ = lazily(
        __name__,
        {
            **dict.fromkeys((name for name in __all__ if name != "Chapter"), "pluglab_report.blocks"),
            "Chapter": "pluglab_report.chapters",
        },
    )
