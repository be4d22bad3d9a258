"""What one process holds, until it lets go or ends: as Linux and macOS have it, and Windows has not."""

from __future__ import annotations

from typing import IO

from pluglab.errors import UserError

try:
    import fcntl
except ImportError as error:
    raise UserError("pluglab runs on Linux and macOS; on Windows, use it inside WSL") from error


def lock(file: IO[str]) -> bool:
    """Hold an open file until it is closed, or this process ends; False where another process holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
