"""`lab report`: its declaration, and what it says."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from pluglab.cli.parameters import PluginFiles, registry_with
from pluglab.errors import UserError, did_you_mean, printable

EPILOG = """
Examples:

- `lab report runs/dann_digits/20261121-093000-a1b2` writes report/report.html into that folder
- `lab report runs/dann_usps_svhn runs/dann_svhn_mnistm --out report --rows method --columns scenario`
- `lab report runs/gan runs/ddpm runs/dann --out report --title "Exercise 4" --author "A. Student"`
- `lab report RUN --format html,md,tex --open`

The page is one file that needs no network. Beside report.md are figures/, tables/ and references.bib. What
you write into the slots of report.md, or into discussion.md beside it, stays when the report is made again.
"""
FORMATS = "html", "md", "tex"

Folders = Annotated[
    list[Path],
    typer.Argument(metavar="FOLDER...", help="Runs, experiments, or folders of them.", show_default=False),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Where the report goes; by default a folder `report` in the one FOLDER, or here for several.",
        show_default=False,
    ),
]
Template = Annotated[
    str,
    typer.Option(
        "--template",
        metavar="NAME|FILE",
        help="Which sections: auto (by the trainer of each run), gan, diffusion, vae, adaptation, general, "
        "or a TOML file.",
    ),
]
Rows = Annotated[
    list[str],
    typer.Option(
        "--rows",
        metavar="KEY",
        help="Turn the table of results: the values of KEY down, as for `lab compare`; may be given again.",
        show_default=False,
    ),
]
Columns = Annotated[
    list[str],
    typer.Option(
        "--columns",
        metavar="KEY",
        help="Turn the table of results: the values of KEY across; may be given again.",
        show_default=False,
    ),
]
Formats = Annotated[str, typer.Option("--format", metavar="LIST", help="Some of html, md and tex.")]
Title = Annotated[str, typer.Option("--title", metavar="TEXT", help="Title.", show_default=False)]
Author = Annotated[str, typer.Option("--author", metavar="TEXT", help="Author.", show_default=False)]
Open = Annotated[bool, typer.Option("--open", metavar="", help="Show the page in the browser.")]


def add(app: typer.Typer) -> None:
    @app.command(epilog=EPILOG)
    def report(
        folders: Folders,
        out: Out = None,
        template: Template = "auto",
        rows: Rows = [],  # noqa: B006
        columns: Columns = [],  # noqa: B006
        format: Formats = "html,md",
        title: Title = "",
        author: Author = "",
        open: Open = False,
        plugin: PluginFiles = [],  # noqa: B006
    ) -> None:
        """Write what runs have found as one page, as Markdown with figures and tables, and as LaTeX.

        Takes finished and running runs, of several experiments at once: tables with the best in bold, only
        the options that differ, learning curves of all variants in one plot, pictures side by side, scores
        with their protocols, networks, warnings, facts to quote, and where everything comes from.
        """
        formats = _formats(format)
        found = _report(
            folders, out or _default(folders), template, rows, columns, formats, title, author, plugin
        )
        print(f"report: {found}")
        if open:
            import webbrowser

            webbrowser.open(found.resolve().as_uri())


def _formats(text: str) -> tuple[str, ...]:
    wanted = [name.strip() for name in text.split(",") if name.strip()]
    for name in wanted:
        if name not in FORMATS:
            help = filter(None, [did_you_mean(name, FORMATS), f"known: {', '.join(FORMATS)}"])
            raise UserError(f"there is no format '{name}'", help=help)
    if not wanted:
        raise UserError("--format names no format", help=[f"known: {', '.join(FORMATS)}"])
    return tuple(dict.fromkeys(wanted))


def _default(folders: Sequence[Path]) -> Path:
    return folders[0] / "report" if len(folders) == 1 else Path("report")


def _report(
    folders: Sequence[Path],
    out: Path,
    template: str,
    rows: Sequence[str],
    columns: Sequence[str],
    formats: Sequence[str],
    title: str,
    author: str,
    plugins: Sequence[Path],
) -> Path:
    """Returns the file to look at first."""
    from pluglab_report.chapters import read_chapters
    from pluglab_report.rendering import write_report
    from pluglab_report.report import assemble

    registry = registry_with(plugins)
    chapters = read_chapters(folders, registry, _say, layout=template, rows=rows, columns=columns)
    return write_report(assemble(chapters, title, author), out, formats, _say)[0]


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr)
