"""`lab compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pluglab.cli.output import echo, print_json, print_table
from pluglab.cli.parameters import AsJson
from pluglab.plugins.loading import Plugins


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
        markdown: Annotated[bool, typer.Option("--markdown", metavar="", help="Print Markdown.")] = False,
        as_json: AsJson = False,
    ) -> None:
        """One table of all runs in several folders: mean and standard deviation over the seeds.

        For experiments that were shared out between processes or machines by `--variant` and
        `--set seeds=[...]`. Runs that differ in more than the seed are never averaged, and scalars that were
        measured under unlike protocols have a column each.
        """
        from pluglab.experiments.compare import compare_folders
        from pluglab.tables import markdown as as_markdown

        found = compare_folders(folders, column, echo)
        if as_json:
            print_json({**vars(found.table), "notes": found.notes})
        elif markdown:
            print(as_markdown(found.table), end="")
            print("".join(f"\n{note}\n" for note in found.notes), end="")
        else:
            print_table(found.table.columns, found.table.rows)
            print("".join(f"{note}\n" for note in found.notes), end="")
