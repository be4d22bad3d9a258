"""Labels of image files that are no data set, as whoever judges predictions needs them. Public."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pluglab.errors import UserError
from pluglab_datasets.image_labels import by_table
from pluglab_datasets.image_listing import Entry
from pluglab_datasets.label_tables import read_table
from pluglab_datasets.reading import reading


def labels_of(files: Sequence[str], folder: Path, table: Path) -> dict[str, str]:
    """The label of each of the `files` in a folder that a table names, in any of the forms that
    `image_folder` reads.

    Raises `UserError` for a table that is not there or is none, that names images which are not there, or
    one image twice.
    """
    if not table.is_file():
        raise UserError(f"there is no table of labels '{table}'")
    with reading(table):
        rows = read_table(table.read_bytes(), str(table))
    entries = by_table([Entry(file, file) for file in files], rows, folder, str(table))
    return {entry.file: entry.label for entry in entries if entry.label is not None}
