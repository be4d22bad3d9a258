"""Printing for people on a terminal, for pipes, and as JSON."""

from __future__ import annotations

import codecs
import io
import json
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TextIO

from pluglab.cli.invoked import as_invoked
from pluglab.errors import printable
from pluglab.table_lines import table_lines, wrapped

ASCII = str.maketrans({"±": "+-", "─": "-", "…": "..."})


def echo(text: str) -> None:
    """A line about what is going on; stdout is for results."""
    print(as_invoked(printable(text)), file=sys.stderr)


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, default=str))


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "", width: int | None = None
) -> None:
    """A table as wide as the terminal; through a pipe, as wide as it needs, or as `width` says."""
    wide = terminal_width() or width
    cells = [[_cell(value) for value in row] for row in rows]
    head = [printable(title)] if title else []
    print("\n".join([*head, "", *table_lines([printable(name) for name in columns], cells, wide), ""]))


def print_text(text: str) -> None:
    """Lines of prose; those that are longer than the terminal is wide are broken between words."""
    width = terminal_width()
    for line in as_invoked(printable(text)).splitlines():
        print("\n".join(wrapped(line, width)) if width else line)


def terminal_width() -> int | None:
    """Signs in a line of the terminal, or as the variable COLUMNS says; None through a pipe."""
    known = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal()
    return shutil.get_terminal_size().columns if known else None


def _cell(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_cell, value))
    return "" if value is None else printable(str(value))


# Streams -----------------------------------------------------------------------------------------------


class _Lasting(io.FileIO):
    """An output whose reader may go away, as `head` does, or whose disk may be full: what is written from
    then on goes nowhere. `error` is what has been lost by more than a reader who had enough."""

    error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.error = None if isinstance(error, BrokenPipeError) else error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return len(data)


def lasting(stream: TextIO | None) -> TextIO:
    """The same output, which a reader that goes away does not break, nor a sign that it cannot show."""
    codecs.register_error("lab", _in_ascii)
    if stream is None:  # it was closed before the program began
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123
    with suppress(OSError):
        stream.flush()
    raw = _Lasting(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw), stream.encoding, "lab", line_buffering=True)


def loss_of(stream: TextIO) -> OSError | None:
    """Why something that was written to a lasting output is not there, if it is not."""
    with suppress(OSError):
        stream.flush()
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.error if isinstance(raw, _Lasting) else None


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """What stands for signs that an output's encoding lacks."""
    assert isinstance(error, UnicodeEncodeError)
    signs = error.object[error.start : error.end]
    return signs.translate(ASCII).encode("ascii", "replace").decode(), error.end
