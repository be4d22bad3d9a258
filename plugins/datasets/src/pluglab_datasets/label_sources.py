"""Where the labels of images come from: a table beside them, tables among them, or what parquet holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pluglab.errors import UserError
from pluglab_datasets.image_sources import Source
from pluglab_datasets.label_tables import NoLabelsError, Row, read_table
from pluglab_datasets.reading import reading

FOLDERS = ("auto", "folders", "none")  # the values of `labels` that name no table
# Tables that are used without being asked for: StyleGAN's, and those of Hugging Face's imagefolder.
STYLEGAN = "dataset.json"
TABLES = (STYLEGAN, "metadata.csv", "metadata.jsonl")


def rows_of(source: Source, files: Sequence[str], table: Path | None, labels: str) -> tuple[list[Row], str]:
    """The rows of the tables that `labels` asks for, and their name; none where folders are to say."""
    if labels in ("folders", "none"):
        return [], ""
    if table:
        with reading(table):
            return read_table(table.read_bytes(), labels), labels
    wanted = TABLES if labels == "auto" else (labels,)
    inside = [file for file in files if any(f"/{file}".endswith(f"/{name}") for name in wanted)]
    if labels != "auto" and not inside:
        help = ["`labels` is 'auto', 'folders', 'none' or the name of a table"]
        raise UserError(f"there is no table of labels '{labels}', nor one in {source.path}", help=help)
    try:
        found = source.contents(inside) if inside else ()
        rows = [row for file, data in found for row in _read_inside(data, file, files)]
    except NoLabelsError:
        if labels != "auto":
            raise
        rows = []
    return rows or source.rows(), next(iter(inside), str(source.path)).rpartition("/")[2]


def _read_inside(data: bytes, file: str, files: Sequence[str]) -> list[Row]:
    """The rows of a table in the source, whose names may be relative to its folder."""
    rows, folder, known = read_table(data, file), file.rpartition("/")[0], set(files)
    return [
        replace(row, name=f"{folder}/{row.name}") if f"{folder}/{row.name}" in known else row for row in rows
    ]
