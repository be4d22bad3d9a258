"""Reading a file that anybody may have made: a regular one, of a size that it can be expected to have."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pluglab.errors import UserError


def read_bounded(path: Path, largest: int) -> bytes:
    """The content of a file of at most `largest` bytes.

    Raises `UserError` for a larger one and for a pipe or a device, which may have no end; `OSError` for what
    cannot be opened.
    """
    # A pipe without a writer must not be waited for.
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(number, "rb") as file:
        found = os.fstat(number)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(21, os.strerror(21), str(path))
        if not stat.S_ISREG(found.st_mode):
            raise UserError(f"{path} is a pipe or a device; a regular file is needed")
        content = file.read(largest + 1)
    if len(content) > largest:
        raise UserError(f"{path} has more than {largest:,} bytes; that is not what it should be")
    return content
