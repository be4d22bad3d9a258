"""Files and folders that are written all or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from pluglab.errors import RunError

HEX = 8  # digits at the end of a temporary name


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` to write to, which takes its place durably at the end.

    An error inside leaves what was there. Raises `RunError` for a full disk, or where one cannot write.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _new(path, Path.touch, 0o666)
        yield temporary
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
    unfinished = _new(path, Path.mkdir, 0o777)
    try:
        yield unfinished
        for file in unfinished.rglob("*"):
            sync(file)
        shutil.rmtree(path, ignore_errors=True)
        unfinished.replace(path)
        sync(path.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def put_in_place(whole: Path, path: Path) -> None:
    """Give a file that is whole its name, in the same folder, durably."""
    sync(whole)
    whole.replace(path)
    sync(path.parent)


def write_file(path: Path, content: bytes | memoryview) -> None:
    """Put `content` at `path` all or not at all, durably. Raises `RunError` on a full disk."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def cannot_write(path: Path, error: OSError) -> RunError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        help = ["free some space, then `lab resume` goes on from the checkpoint before"]
        return RunError(f"no space left on the disk for {path}", help=help)
    return RunError(f"{path} cannot be written: {error.strerror or error}")


def sweep(folder: Path, name: str = "*", seconds: float = 0) -> None:
    """Take away what killed processes have left half written in a folder for files of that `name`, a pattern.

    Only who keeps others from writing them may; else what nobody has touched for so many `seconds`.
    """
    for left in folder.glob(f".{name}.{'[0-9a-f]' * HEX}"):
        with suppress(OSError):  # somebody else takes it away
            if time.time() - left.lstat().st_mtime >= seconds:
                shutil.rmtree(left) if left.is_dir() else left.unlink()


def sync(path: Path) -> None:
    """Raises `OSError` for a file that is not safely on the disk; not every file system syncs folders."""
    with suppress(OSError) if path.is_dir() else nullcontext():
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _new(path: Path, make: Callable[..., None], mode: int) -> Path:
    """A fresh file or folder beside `path`, with the permissions that the user's umask leaves of `mode`.

    `tempfile` makes them the owner's alone, and the umask can only be read by setting it, for all threads.
    """
    while True:
        fresh = path.with_name(f".{path.name}.{secrets.token_hex(HEX // 2)}")
        with suppress(FileExistsError):
            make(fresh, mode=mode, exist_ok=False)
            return fresh
