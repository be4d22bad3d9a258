"""Files that are written all or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from pluglab.errors import RunError


def write_file(path: Path, content: bytes) -> None:
    """Put `content` at `path` all or not at all, durably. Raises `RunError` on a full disk."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        with suppress(OSError):
            Path(temporary).unlink()
        raise _cannot_write(path, error) from error
    _sync_folder(path.parent)


def _cannot_write(path: Path, error: OSError) -> RunError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        help = ["free some space, then `lab resume` goes on from the checkpoint before"]
        return RunError(f"no space left on the disk for {path}", help=help)
    return RunError(f"{path} cannot be written: {error.strerror}")


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # not every file system syncs folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
