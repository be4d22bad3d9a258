"""What the runs reached: a table a scenario, or turned; what others have reported; what is not finished."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pluglab.comparison import Cell, Grid, pivots, tables
from pluglab.protocols import Table
from pluglab_report.blocks import Block, Facts, Fold, TableBlock, Text
from pluglab_report.chapters import Chapter

MISSING = "-"
BOLD = "Bold: the best mean of its column."
FAIR = "Rows that saw labels which are hidden from others do not compete."
SEVERAL = "± is the standard deviation over seeds, of the sample."
ORACLE = "(oracle): the reported step was picked by labels that are hidden from the training."


class Results:
    """The scores that belong in a table."""

    title = "Results"
    shows = ()

    def write(self, chapter: Chapter) -> Sequence[Block]:
        return [*_tables(chapter), *_reported(chapter), *_unfinished(chapter)]


def _tables(chapter: Chapter) -> Iterator[Block]:
    turned = _with_scores(_turned(chapter))
    each = _with_scores(tables(chapter.comparison))
    if not turned and not each:
        return
    blocks = _blocks(chapter, turned or each, "results")
    yield from blocks
    if chapter.comparison.notes:
        yield Facts(chapter.comparison.notes)
    yield Text(" ".join(_legend(chapter, blocks)))
    if turned:
        yield Fold("Every scenario by itself", _blocks(chapter, each, "scenario"))


def _turned(chapter: Chapter) -> list[Grid]:
    """The results turned as one asks; else methods by scenarios, where these share a score."""
    if chapter.rows or chapter.columns:
        return pivots(chapter.comparison, chapter.rows or ("method",), chapter.columns or ("scenario",))
    if len(chapter.scenarios) < 2:
        return []
    found = pivots(chapter.comparison, ["method"], ["scenario"])
    return [grid for grid in found if len(grid.trimmed.columns) > 1]


def _with_scores(grids: Sequence[Grid]) -> list[Grid]:
    """Without columns that nobody has, and grids that have no other."""
    return [grid.trimmed for grid in grids if grid.trimmed.columns]


def _blocks(chapter: Chapter, grids: Sequence[Grid], name: str) -> list[TableBlock]:
    return [_block(chapter, grid, f"{name}_{place}") for place, grid in enumerate(grids, 1)]


def _block(chapter: Chapter, grid: Grid, name: str) -> TableBlock:
    """The grid, with a column of seeds where rows are groups."""
    table = grid.table()
    seeds = [_seeds(row) for _, row in grid.rows]
    if any(seeds):
        rows = [[*row, count or MISSING] for row, count in zip(table.rows, seeds, strict=True)]
        table = Table([*table.columns, "seeds"], rows)
    file = f"{chapter.layout.name}_{name}"
    return TableBlock(file, table, grid.title, grid.best(), _colors(chapter, grid))


def _seeds(row: Sequence[Cell | None]) -> int:
    """The seeds behind a row, where all of it has as many."""
    counts = {cell.scores.runs for cell in row if cell is not None}
    return counts.pop() if len(counts) == 1 else 0


def _colors(chapter: Chapter, grid: Grid) -> dict[str, str]:
    """A color for each row that is of one method."""
    found: dict[str, str] = {}
    for head, row in grid.rows:
        colors = {chapter.colors[cell.group] for cell in row if cell is not None}
        if len(colors) == 1 and chapter.several:
            found[head[0]] = colors.pop()
    return found


def _legend(chapter: Chapter, blocks: Sequence[TableBlock]) -> Iterator[str]:
    if any(block.bold for block in blocks):
        yield BOLD
        yield from [FAIR] if any(group.first.unlabeled for group in chapter.groups) else []
    if any(len(group.records) > 1 for group in chapter.groups):
        yield SEVERAL
    if any(group.oracle for group in chapter.groups):
        yield ORACLE


def _reported(chapter: Chapter) -> Iterator[Block]:
    """What the recipes say that others have found, for the scores that are shown here."""
    shown = list(dict.fromkeys(column.scalar for column in chapter.comparison.columns))
    several = len(chapter.scenarios) > 1
    rows: dict[tuple[str | float, ...], None] = {}
    for group in chapter.groups:
        for one in group.first.recipe.get("reported", []):
            scores = [one["scores"].get(scalar, MISSING) for scalar in shown]
            if set(scores) != {MISSING}:
                place = [group.scenario] if several else []
                rows[(*place, one["name"], *scores, one.get("source") or MISSING)] = None
    if rows:
        columns = [*(["scenario"] if several else []), "", *shown, "source"]
        name = f"{chapter.layout.name}_reported"
        yield TableBlock(name, Table(columns, [list(row) for row in rows]), "What others have reported")


def _unfinished(chapter: Chapter) -> Iterator[Block]:
    rows: list[list[str | int]] = [
        [chapter.names[group], record.seed, record.status, f"{record.step():,} of {record.steps or '?'}"]
        for group in chapter.groups
        for record in group.records
        if not record.results
    ]
    if rows:
        name = f"{chapter.layout.name}_unfinished"
        yield TableBlock(name, Table(["run", "seed", "status", "step"], rows), "Without results yet")
