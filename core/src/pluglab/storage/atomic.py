"""Files and folders that are written all or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from pluglab.errors import RunError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` to write to, which takes its place durably at the end.

    An error inside leaves what was there. Raises `RunError` for a full disk, or where one cannot write.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        put_in_place(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`, which takes its place at the end; after an error nothing changes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        unfinished.chmod(0o777 & ~_umask())
        yield unfinished
        for file in unfinished.rglob("*"):
            _sync(file)
        shutil.rmtree(path, ignore_errors=True)
        unfinished.replace(path)
        _sync(path.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def put_in_place(whole: Path, path: Path) -> None:
    """Give a file that is whole its name, in the same folder, durably."""
    _sync(whole)
    whole.replace(path)
    _sync(path.parent)


def write_file(path: Path, content: bytes) -> None:
    """Put `content` at `path` all or not at all, durably. Raises `RunError` on a full disk."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def cannot_write(path: Path, error: OSError) -> RunError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        help = ["free some space, then `lab resume` goes on from the checkpoint before"]
        return RunError(f"no space left on the disk for {path}", help=help)
    return RunError(f"{path} cannot be written: {error.strerror or error}")


def _sync(path: Path) -> None:
    """Raises `OSError` for a file that is not safely on the disk; not every file system syncs folders."""
    with suppress(OSError) if path.is_dir() else nullcontext():
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _umask() -> int:
    """The user's mask of permissions, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
