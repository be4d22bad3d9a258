"""Tables as lines of text, for terminals, pipes and files: as wide as wanted, and no value is ever cut."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

GAP = 3  # spaces between columns
WHOLE = 16  # a cell of so many signs is never broken
RECORD = 2  # spaces before the lines of a row that is written as a list


def table_lines(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> Iterator[str]:
    """The table in lines of at most `width` signs, broken between words only; no value is ever cut.

    Where that is too narrow for a column each, a row becomes a column, and where that is too wide as well, a
    list. A word that is longer than a line stays whole.
    """
    table = [list(columns), *map(list, rows)]
    for turned in (table, [list(row) for row in zip(*table, strict=True)]):
        widths = _widths(turned, width)
        if widths is not None:
            return _grid(turned, widths)
    return _records(columns, rows, width or 0)


def _widths(table: Sequence[Sequence[str]], width: int | None) -> list[int] | None:
    """The width of each column; None where they do not fit."""
    cells = list(zip(*table, strict=True))
    whole = [max(map(_length, column)) for column in cells]
    if width is None:
        return whole
    widths = [max(map(_least, column)) for column in cells]
    left = width - 1 - sum(widths) - GAP * (len(widths) - 1)
    if left < 0:
        return None
    while left and widths != whole:  # a sign for each column that wants one, those that lack most first
        wanting = sorted(range(len(widths)), key=lambda i: widths[i] - whole[i])
        for i in wanting[:left]:
            if widths[i] < whole[i]:
                widths[i], left = widths[i] + 1, left - 1
    return widths


def _least(cell: str) -> int:
    """How narrow a column must not become for this cell: its longest word, and short cells whole."""
    longest = max(map(_length, cell.split()), default=0)
    return max(longest, min(_length(cell), WHOLE))


def _grid(table: Sequence[Sequence[str]], widths: Sequence[int]) -> Iterator[str]:
    head, *rows = table
    yield from _row(head, widths)
    yield " " + "─" * (sum(widths) + GAP * (len(widths) - 1))
    for row in rows:
        yield from _row(row, widths)


def _row(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    cells = [wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
    for i in range(max(map(len, cells))):
        parts = [cell[i] if i < len(cell) else "" for cell in cells]
        padded = (part + " " * (width - _length(part)) for part, width in zip(parts, widths, strict=True))
        yield " " + (" " * GAP).join(padded).rstrip()


def _records(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """A row as a list: its first cell, and under it the others that are not empty, each with its name."""
    names = max(map(_length, columns[1:]), default=0) + 2
    for first, *others in rows:
        yield from wrapped(first, width)
        for name, cell in zip(columns[1:], others, strict=True):
            if not cell:
                continue
            beside = RECORD + names + _least(cell) <= width
            room, indent = width - RECORD - names, " " * (RECORD + names)
            if not beside:
                room, indent = width - 2 * RECORD, " " * 2 * RECORD
                yield " " * RECORD + name
            lines = wrapped(cell, room)
            label = " " * RECORD + name + " " * (names - _length(name)) if beside else indent
            yield (label + lines[0]).rstrip()
            yield from (indent + line for line in lines[1:])


def wrapped(cell: str, width: int) -> list[str]:
    """Lines of at most `width` signs, broken between words."""
    lines = (
        textwrap.wrap(line, max(1, width), break_long_words=False, break_on_hyphens=False) or [""]
        for line in (cell.splitlines() or [""])
    )
    return [line for found in lines for line in found]


def _length(text: str) -> int:
    """Columns on a terminal of the longest line; wide signs take two."""
    from rich.cells import cell_len

    return max(map(cell_len, text.splitlines()), default=0)
