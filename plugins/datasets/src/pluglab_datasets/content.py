"""A hash of what files hold, remembered for as long as the system says that nobody wrote to them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pluglab.errors import RunError
from pluglab.storage.atomic import write_file

SETTLED = 2e9  # ns: a file written to later than this ago could change again within one tick of its clock


def content_hash(folder: Path, names: Sequence[str], cache: Path) -> str:
    """SHA-256 of the names and contents of these files; one that cannot be read counts as empty.

    Reads them once: sizes, times and inode numbers are the key under which the cache remembers it.
    """
    stats = [_stat(folder / name) for name in names]
    stamp = hashlib.sha256(repr((str(folder.resolve()), names, stats)).encode()).hexdigest()
    memory = cache / "hashes" / stamp
    if memory.is_file() and len(known := memory.read_bytes()) == len(stamp):
        return known.decode()
    found = hashlib.sha256()
    for name in names:
        found.update(f"{name}\0{_hash(folder / name)}\0".encode())
    if all(time.time_ns() - max(times) > SETTLED for _, _, *times in filter(None, stats)):
        with suppress(RunError):  # a cache that cannot be written to still serves what it holds
            write_file(memory, found.hexdigest().encode())
    return found.hexdigest()


def _stat(path: Path) -> tuple[int, ...]:
    try:
        stat = path.stat()
    except OSError:
        return ()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
