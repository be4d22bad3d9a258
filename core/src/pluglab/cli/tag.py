"""`lab tag`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from pluglab.cli import completion
from pluglab.cli.parameters import Note
from pluglab.errors import UserError
from pluglab.plugins.loading import Plugins


def add(app: typer.Typer, plugins: Plugins) -> None:
    @app.command()
    def tag(
        run: Annotated[
            list[Path],
            typer.Argument(
                metavar="RUN...",
                help="Runs, or experiments: all of their runs.",
                show_default=False,
                autocompletion=completion.runs,
            ),
        ],
        add: Annotated[
            list[str], typer.Option("--add", metavar="TAG", help="May be given again.", show_default=False)
        ] = [],  # noqa: B006
        remove: Annotated[
            list[str], typer.Option("--remove", metavar="TAG", help="May be given again.", show_default=False)
        ] = [],  # noqa: B006
        note: Note = None,
    ) -> None:
        """Give runs tags and a note, to find them by with `lab list runs --where tag=TAG`.

        They are kept in the runs' folders, and change nothing of what the runs are. Without options the tags
        are shown.
        """
        tag_runs(run, add, remove, note)


def tag_runs(folders: Sequence[Path], add: Sequence[str], remove: Sequence[str], note: str | None) -> None:
    from pluglab.storage.run_folder import run_folders

    for tag in add:
        check_tag(tag)
    for run in [run for folder in folders for run in run_folders(folder)]:
        before = run.tags()
        now = before.changed(add, remove, note)
        if now != before:
            run.write_tags(now)
        print(f"{run.path}: {', '.join(now.tags) or 'no tags'}" + (f"; {now.note}" if now.note else ""))


def check_tag(tag: str) -> None:
    """Raises `UserError` for a tag that a shell, or a list of tags, would break."""
    if not tag or any(sign.isspace() or sign in ",=" for sign in tag):
        raise UserError(f"'{tag}' is no tag", help=["a tag is one word, without spaces, commas and '='"])
