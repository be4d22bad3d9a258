"""`lab compare`."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pluglab.cli.output import echo, print_json, print_table
from pluglab.cli.parameters import AsJson
from pluglab.errors import UserError
from pluglab.plugins.loading import Plugins

if TYPE_CHECKING:
    from pluglab.comparison import Comparison, Difference, Grid
    from pluglab.protocols import Table
    from pluglab.records import Record


def add(app: typer.Typer, plugins: Plugins) -> None:
    @app.command()
    def compare(
        folders: Annotated[
            list[Path],
            typer.Argument(
                metavar="FOLDER...", help="Runs, experiments, or folders of them.", show_default=False
            ),
        ],
        column: Annotated[
            list[str],
            typer.Option(
                "--column",
                metavar="SCALAR",
                help="Show this scalar; may be given again. By default those of the recipes' own tables.",
                show_default=False,
            ),
        ] = [],  # noqa: B006
        changed: Annotated[
            Literal["names", "columns"],
            typer.Option(
                metavar="names|columns",
                help="Where the options that differ are shown: in the names of rows that are alike "
                "otherwise, or each as a column.",
            ),
        ] = "names",
        rows: Annotated[
            list[str],
            typer.Option(
                metavar="KEY",
                help="Turn the table: the values of KEY down. KEY is method, scenario, variant, title, an "
                "axis of the recipe's matrix, or the dotted key of an option; may be given again.",
                show_default=False,
            ),
        ] = [],  # noqa: B006
        columns: Annotated[
            list[str],
            typer.Option(
                metavar="KEY",
                help="Turn the table: the values of KEY across; may be given again.",
                show_default=False,
            ),
        ] = [],  # noqa: B006
        against: Annotated[
            str | None,
            typer.Option(
                metavar="ROW",
                help="Print how far every other row is from this one, with 95 % intervals over the seeds "
                "that both have: of a paired t test, and by bootstrap.",
                show_default=False,
            ),
        ] = None,
        places: Annotated[
            int | None,
            typer.Option(metavar="N", help="Decimal places of the scores.", min=0, show_default=False),
        ] = None,
        as_json: AsJson = False,
        as_csv: Annotated[
            bool, typer.Option("--csv", metavar="", help="Print CSV: a line a row and scalar.")
        ] = False,
        as_markdown: Annotated[bool, typer.Option("--markdown", metavar="", help="Print Markdown.")] = False,
        as_latex: Annotated[
            bool, typer.Option("--latex", metavar="", help="Print LaTeX; it needs the package booktabs.")
        ] = False,
    ) -> None:
        """One table of all runs in several folders: mean and standard deviation over the seeds.

        Runs that differ in more than the seed are never averaged. Scores of unlike data have a table each, or
        a column each with --columns scenario; those of unlike protocols have a column each.
        """
        from pluglab.comparison import compare as compared
        from pluglab.comparison import pivots, tables

        flags = {"json": as_json, "csv": as_csv, "markdown": as_markdown, "latex": as_latex}
        form = _form([name for name, wanted in flags.items() if wanted])
        comparison = compared(_finished(folders), echo, column)
        if against is not None:
            _print_differences(comparison, against, form)
        elif form == "json":
            print_json(comparison.to_dict())
        elif form == "csv":
            _print_csv(_lines(comparison))
        else:
            turned = rows or columns
            grids = (
                pivots(comparison, rows or ["method"], columns or ["scenario"])
                if turned
                else tables(comparison, changed)
            )
            _print_grids(grids, comparison.notes, form, places)


def _form(wanted: Sequence[str]) -> str:
    if len(wanted) > 1:
        raise UserError(f"--{' and --'.join(wanted)} are two forms", help=["give one of them"])
    return wanted[0] if wanted else "text"


def _finished(folders: Sequence[Path]) -> list[Record]:
    """The runs with results below the folders. Raises `UserError` where there is nothing to compare."""
    from pluglab.records import read_records

    found = read_records(folders, echo)
    if not found:
        help = ["give folders that `lab run` made, or folders that hold them"]
        raise UserError(f"there is no run in {', '.join(map(str, folders))}", help=help)
    finished = [record for record in found if record.status == "finished" and record.results]
    if len(finished) < len(found):
        echo(f"left out: {len(found) - len(finished)} of {len(found)} runs, which have no results yet")
    if not finished:
        raise UserError("no run there has finished", help=["`lab resume RUN` goes on with a run"])
    return finished


# Printing --------------------------------------------------------------------------------------------


def print_comparison(comparison: Comparison, title: str = "") -> None:
    """A table a scenario, and what tells columns of one scalar apart."""
    from pluglab.comparison import tables

    _print_text(tables(comparison), comparison.notes, title)


def _print_text(
    grids: Sequence[Grid], notes: Sequence[str], title: str = "", places: int | None = None
) -> None:
    for grid in grids:
        table = grid.trimmed.table(places)
        print_table(table.columns, table.rows, title=", ".join(filter(None, [title, grid.title])))
    print("".join(f"{note}\n" for note in notes), end="")


def _print_grids(grids: Sequence[Grid], notes: Sequence[str], form: str, places: int | None) -> None:
    from pluglab.comparison import as_latex, as_markdown

    if form != "text":
        print({"markdown": as_markdown, "latex": as_latex}[form](grids, notes, places), end="")
        return
    _print_text(grids, notes, places=places)


def _print_csv(lines: Iterable[Sequence[object]]) -> None:
    csv.writer(sys.stdout, lineterminator="\n").writerows(lines)


def _lines(comparison: Comparison) -> Iterator[list[object]]:
    """A line a row and scalar, each option that differs and each seed in a column of its own."""
    found = comparison.to_dict()
    scores = [(row, title, one) for row in found["rows"] for title, one in row["scores"].items()]
    keys = list(dict.fromkeys(key for row in found["rows"] for key in row["changed"]))
    seeds = sorted({int(seed) for _, _, one in scores for seed in one["seeds"]})
    first, numbers = ["row", "scenario", "method", "oracle"], ["mean", "deviation", "n"]
    yield [*first, *keys, "scalar", *numbers, *(f"seed {seed}" for seed in seeds)]
    for row, title, one in scores:
        names = row["label"], row["scenario"], row["method"], row["oracle"]
        own = (row["changed"].get(key) for key in keys)
        yield [
            *names,
            *own,
            title,
            *(one[key] for key in numbers),
            *(one["seeds"].get(str(s)) for s in seeds),
        ]


# Differences -----------------------------------------------------------------------------------------


def _print_differences(comparison: Comparison, against: str, form: str) -> None:
    """How far every row is from those that are called `against`, in the scenarios where these stand."""
    from pluglab.tables import latex, markdown

    found = list(_differences(comparison, against))
    if form == "json":
        print_json([{**place, **one.to_dict()} for place, one in found])
    elif form == "csv":
        intervals = ["low", "high", "bootstrap low", "bootstrap high"]
        numbers = ["mean", "n", *intervals, "level", "verdict"]
        _print_csv([["scenario", "row", "against", "scalar", *numbers], *(_numbers(*pair) for pair in found)])
    else:
        table = _in_words(found, several=len(comparison.scenarios) > 1)
        if form == "text":
            print_table(table.columns, table.rows, title=f"against {against}")
        else:
            print({"markdown": markdown, "latex": latex}[form](table), end="")


def _differences(comparison: Comparison, against: str) -> Iterator[tuple[dict[str, str], Difference]]:
    wanted = comparison.find(against)
    for scenario in comparison.scenarios:
        groups = comparison.groups_in(scenario)
        for other in [group for group in groups if group in wanted]:
            for group, column in product((one for one in groups if one is not other), comparison.columns):
                found = comparison.difference(group, other, column, scenario)
                if found is not None:
                    names = {"scenario": scenario, "row": group.method, "against": other.method}
                    yield {**names, "scalar": column.title}, found


def _numbers(place: Mapping[str, str], found: Difference) -> list[object]:
    limits = *(found.interval or (None, None)), *(found.bootstrap or (None, None))
    return [*place.values(), found.mean, found.n, *limits, found.level, found.verdict]


def _in_words(found: Sequence[tuple[Mapping[str, str], Difference]], *, several: bool) -> Table:
    from pluglab.protocols import Table
    from pluglab.tables import decimals

    rows: list[list[str | int]] = []
    for place, one in found:
        digits = decimals(one.mean)
        intervals = [_limits(one.interval, digits), _limits(one.bootstrap, digits)]
        names = [place["scenario"]] if several else []
        words = one.verdict or ("open" if one.interval else "too few seeds")
        rows.append(
            [*names, place["row"], place["scalar"], f"{one.mean:+.{digits}f}", *intervals, one.n, words]
        )
    names = ["scenario"] if several else []
    numbers = ["difference", "95 % interval", "by bootstrap", "seeds"]
    return Table([*names, "", "scalar", *numbers, ""], rows)


def _limits(interval: tuple[float, float] | None, digits: int) -> str:
    return "-" if interval is None else "{:+.{d}f} to {:+.{d}f}".format(*interval, d=digits)
