"""What `lab compare` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pluglab.cli.output import echo, print_json, print_table
from pluglab.experiments.compare import compare_folders
from pluglab.tables import markdown


def compare(folders: Sequence[Path], columns: Sequence[str], *, as_markdown: bool, as_json: bool) -> None:
    table = compare_folders(folders, columns, echo)
    if as_json:
        print_json(vars(table))
    elif as_markdown:
        print(markdown(table), end="")
    else:
        print_table(table.columns, table.rows)
