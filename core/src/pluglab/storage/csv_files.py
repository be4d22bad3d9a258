"""Tables as CSV files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pluglab.storage.atomic import write_file


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A CSV file, all or not at all. Its lines end in a line feed."""
    write_file(path, "".join(map(_line, [columns, *rows])).encode())


def _line(row: Sequence[Any]) -> str:
    """Written with both characters that may end a line, so that a cell with one of them gets its quotes."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(row)
    return text.getvalue().removesuffix("\r\n") + "\n"
