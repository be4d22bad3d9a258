"""A comparison as tables: a row a group, or turned by what one asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from pluglab.comparison.changes import changes_of
from pluglab.comparison.compared import Comparison
from pluglab.comparison.groups import SCENARIO, Group, words, words_of_changes
from pluglab.comparison.scores import Column, Scores
from pluglab.errors import UserError, did_you_mean
from pluglab.protocols import Table
from pluglab.tables import latex, markdown

MISSING = "-"


@dataclass(frozen=True)
class Cell:
    """What a group reached, and whether that is the best of its column and scenario."""

    group: Group
    scores: Scores
    best: bool


@dataclass(frozen=True)
class Grid:
    """A table of scores: a row begins with a word for each of the `heads`; None is a cell without a score.

    `title` says what all of it has in common, such as the scenario.
    """

    title: str
    heads: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[tuple[str, ...], tuple[Cell | None, ...]], ...]

    @property
    def trimmed(self) -> Grid:
        """The same without columns that no row has a score in."""
        kept = [j for j in range(len(self.columns)) if any(row[j] is not None for _, row in self.rows)]
        rows = tuple((head, tuple(row[j] for j in kept)) for head, row in self.rows)
        return replace(self, columns=tuple(self.columns[j] for j in kept), rows=rows)

    def table(self, places: int | None = None) -> Table:
        """In words: mean and deviation, with so many decimal `places` or as many as the number needs."""
        cells = [
            [*head, *(cell.scores.text(places) if cell else MISSING for cell in row)]
            for head, row in self.rows
        ]
        return Table([*self.heads, *self.columns], cells)

    def best(self) -> set[tuple[int, int]]:
        """(row, column) in `table` of the cells that are best."""
        first = len(self.heads)
        return {
            (i, first + j)
            for i, (_, row) in enumerate(self.rows)
            for j, cell in enumerate(row)
            if cell is not None and cell.best
        }


def tables(comparison: Comparison, changed: Literal["names", "columns"] = "names") -> list[Grid]:
    """A grid a scenario, a row a group, a column a scalar under one protocol.

    `changed`: whether the options that differ are columns of their own, or only in the rows' names, where
    nothing else tells the rows apart.
    """
    several = len(comparison.scenarios) > 1
    return [_table(comparison, scenario, changed, several) for scenario in comparison.scenarios]


def _table(comparison: Comparison, scenario: str, changed: str, several: bool) -> Grid:
    groups = comparison.groups_in(scenario)
    options = changes_of([group.first.recipe for group in groups])
    keys = list(options[0]) if changed == "columns" else []
    columns = [_column(comparison, groups, column, scenario) for column in comparison.columns]
    rows = [
        (
            (group.marked(group.method if several else group.label), *(words(own[key]) for key in keys)),
            tuple(cells.get(group) for cells in columns),
        )
        for group, own in zip(groups, options, strict=True)
    ]
    titles = tuple(column.title for column in comparison.columns)
    return Grid(scenario if several else "", ("", *keys), titles, tuple(rows))


def _column(
    comparison: Comparison, groups: Sequence[Group], column: Column, scenario: str
) -> dict[Group, Cell]:
    """The cells of those groups of a scenario that have the score."""
    best = comparison.best(column, scenario, groups)
    scores = {group: comparison.scores(group, column, scenario) for group in groups}
    return {group: Cell(group, found, group in best) for group, found in scores.items() if found is not None}


def as_markdown(grids: Sequence[Grid], notes: Sequence[str] = (), places: int | None = None) -> str:
    """The grids one below the other, the best in bold, and a paragraph a note."""
    titled = (
        (f"**{grid.title}**\n\n" if grid.title else "") + markdown(grid.table(places), grid.best())
        for grid in (one.trimmed for one in grids)
    )
    return "\n".join([*titled, *(f"{note}\n" for note in notes)])


def as_latex(grids: Sequence[Grid], notes: Sequence[str] = (), places: int | None = None) -> str:
    """The same in LaTeX, which needs the package booktabs; titles and notes are comments."""
    titled = (
        (f"% {grid.title}\n" if grid.title else "") + latex(grid.table(places), grid.best())
        for grid in (one.trimmed for one in grids)
    )
    return "\n".join([*titled, *(f"% {note}\n" for note in notes)])


def in_one(grids: Sequence[Grid]) -> Table:
    """Grids of the same columns as one table, in which a column says what each row's grid is called."""
    parts = [grid.table() for grid in grids]
    if len(grids) == 1:
        return parts[0]
    rows = [[grid.title, *row] for grid, part in zip(grids, parts, strict=True) for row in part.rows]
    return Table(["scenario", *parts[0].columns], rows) if parts else Table([""], [])


# Turned ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Entry:
    """A score, and where it stands."""

    row: tuple[str, ...]
    column: str
    cell: Cell


def pivots(comparison: Comparison, rows: Sequence[str], columns: Sequence[str]) -> list[Grid]:
    """A grid a scalar, with the values of the keys `rows` down and those of `columns` across.

    Keys are what `Group.value` knows: 'method', 'scenario', an axis of the matrix, an option. Scenarios are
    never mixed: where no key is 'scenario', each has a grid of its own. Raises `UserError` for a key that no
    group has, and where several groups fall into one cell.
    """
    _require((*rows, *columns), comparison)
    together = SCENARIO in (*rows, *columns)
    places = [comparison.scenarios] if together else [[scenario] for scenario in comparison.scenarios]
    scalars = dict.fromkeys(column.scalar for column in comparison.columns)
    grids = [_pivot(comparison, scalar, rows, columns, place) for place in places for scalar in scalars]
    return [grid for grid in grids if grid.rows]


def _require(keys: Sequence[str], comparison: Comparison) -> None:
    known = {key for group in comparison.groups for key in (*group.first.axes, *group.first.options)}
    known |= {"method", SCENARIO, "variant", "title"}
    for key in keys:
        if key not in known and not any(group.value(key) for group in comparison.groups):
            usual = [name for name in sorted(known) if "." not in name]
            help = filter(None, [did_you_mean(key, known), f"known: {', '.join(usual)}, and dotted options"])
            raise UserError(f"no run has '{key}'", help=help)


def _pivot(
    comparison: Comparison, scalar: str, rows: Sequence[str], columns: Sequence[str], scenarios: Sequence[str]
) -> Grid:
    entries = list(_entries(comparison, scalar, rows, columns, scenarios))
    cells: dict[tuple[tuple[str, ...], str], Cell] = {}
    for entry in entries:
        before = cells.setdefault((entry.row, entry.column), entry.cell)
        if before is not entry.cell:
            raise _crowded(before.group, entry.cell.group, (*rows, *columns))
    across = list(dict.fromkeys(entry.column for entry in entries))
    lines = tuple(
        (row, tuple(cells.get((row, name)) for name in across))
        for row in dict.fromkeys(entry.row for entry in entries)
    )
    several = len(comparison.scenarios) > 1 and len(scenarios) == 1
    title = f"{scalar}, {scenarios[0]}" if several else scalar
    return Grid(title, tuple(rows), tuple(across), lines)


def _entries(
    comparison: Comparison, scalar: str, rows: Sequence[str], columns: Sequence[str], scenarios: Sequence[str]
) -> Iterator[_Entry]:
    own = [column for column in comparison.columns if column.scalar == scalar]
    for scenario in scenarios:
        groups = comparison.groups_in(scenario)
        cells = [_column(comparison, groups, column, scenario) for column in own]
        for group, (column, found) in product(groups, zip(own, cells, strict=True)):
            if group in found:
                row = tuple(_value(group, key, scenario) for key in rows)
                across = ", ".join(_value(group, key, scenario) for key in columns)
                number = f" [{column.number}]" if column.number else ""
                yield _Entry(row, f"{across}{number}", found[group])


def _value(group: Group, key: str, scenario: str) -> str:
    """The group's value of a key; of a group that stands in several scenarios, the one at hand."""
    value = scenario if key == SCENARIO else group.value(key)
    return group.marked(value) if key == "method" else value or MISSING


def _crowded(one: Group, other: Group, keys: Sequence[str]) -> UserError:
    differing = changes_of([one.first.recipe, other.first.recipe])[1]
    words_of_them = words_of_changes(differing) or "their data or titles"
    help = [f"give another key to --rows, of: {', '.join(['method', *differing])}"]
    message = f"'{one.label}' and '{other.label}' have the same {' and '.join(keys)}: {words_of_them}"
    return UserError(message, help=help)
