"""What sections are made of. Blocks hold plain text and files, and know no format: every format escapes."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from pluglab.protocols import Table

NUMBER = re.compile(r"[+-]?\d[\d,]*(\.\d+)?(e[+-]?\d+)?( (±|of|\().*)?")  # what a cell of numbers holds


@dataclass(frozen=True)
class Block:
    """`kind` names the template that writes it."""

    kind: ClassVar[str]


@dataclass(frozen=True)
class Text(Block):
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Heading(Block):
    """A heading within a section. `color` is that of the variant that it is about."""

    kind: ClassVar[str] = "heading"
    text: str
    color: str = ""


@dataclass(frozen=True)
class Facts(Block):
    """Lines of a list."""

    kind: ClassVar[str] = "facts"
    lines: Sequence[str]


@dataclass(frozen=True)
class Code(Block):
    """Lines as they are, such as a command or a printed network."""

    kind: ClassVar[str] = "code"
    text: str
    language: str = ""


@dataclass(frozen=True)
class TableBlock(Block):
    """A table. `name` is that of its files, `bold` holds (row, column) of cells, counted from 0.

    `colors`: those of rows, by the text of their first cell.
    """

    kind: ClassVar[str] = "table"
    name: str
    table: Table
    caption: str = ""
    bold: Collection[tuple[int, int]] = ()
    colors: Mapping[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> list[list[str]]:
        """Its cells as they are written."""
        return [[text_of(value) for value in row] for row in self.table.rows]

    def is_numeric(self, column: int) -> bool:
        """Whether a column is set to the right."""
        cells = [row[column] for row in self.rows if row[column] not in ("", "-")]
        return bool(cells) and all(NUMBER.fullmatch(cell) for cell in cells)


@dataclass(frozen=True)
class Picture(Block):
    """A picture under its `title`: a file of a run, or a plot that is drawn from `data` (`pluglab_plots`).

    `name` is that of its files. `color` is that of the variant that it shows.
    """

    kind: ClassVar[str] = "picture"
    name: str
    title: str
    caption: str
    path: Path | None = None
    data: Mapping[str, Any] | None = None
    color: str = ""

    @property
    def alt(self) -> str:
        """What those read who do not see it."""
        return ": ".join(filter(None, [self.title, self.caption]))


@dataclass(frozen=True)
class Pictures(Block):
    """Pictures beside one another, as far as the page is wide. A `caption` for all replaces theirs."""

    kind: ClassVar[str] = "pictures"
    pictures: Sequence[Picture]
    caption: str = ""


@dataclass(frozen=True)
class Fold(Block):
    """Blocks that one opens: they matter to few readers. `printed`: whether they are on paper, too."""

    kind: ClassVar[str] = "fold"
    title: str
    blocks: Sequence[Block]
    printed: bool = False


@dataclass(frozen=True)
class Slot(Block):
    """A place for the author's own words, in Markdown, which stay when the report is made again.

    `facts` are sentences that one may quote.
    """

    kind: ClassVar[str] = "slot"
    key: str
    question: str
    facts: Sequence[str] = ()


@dataclass(frozen=True)
class Source:
    """A paper: `text` for people, `key` and `bibtex` for references.bib."""

    key: str
    text: str
    url: str
    bibtex: str


@dataclass(frozen=True)
class References(Block):
    """What is cited."""

    kind: ClassVar[str] = "references"
    sources: Sequence[Source]


def text_of(value: object) -> str:
    """A cell of a table: whole numbers as they are, others with four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
