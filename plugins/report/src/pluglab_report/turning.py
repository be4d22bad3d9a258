"""Tables of runs that stand upright or lie on their side, as the page is wide."""

from __future__ import annotations

from pluglab.protocols import Table
from pluglab_report.blocks import text_of

PAGE = 110  # letters that a table may be wide; more would be scrolled
GAP = 3  # letters between columns


def fitting(table: Table) -> Table:
    """A table with a column a run; with a row a run, where that is narrower and the page too narrow."""
    return table if _width(table) <= max(PAGE, _width(turned(table))) else turned(table)


def turned(table: Table) -> Table:
    """Rows as columns."""
    columns, *rows = map(list, zip(table.columns, *table.rows, strict=True))
    return Table(["run", *map(str, columns[1:])], rows)


def _width(table: Table) -> int:
    lines = [list(map(text_of, row)) for row in (table.columns, *table.rows)]
    return sum(max(map(len, cells)) + GAP for cells in zip(*lines, strict=True))
