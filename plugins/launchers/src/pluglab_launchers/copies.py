"""A run's folder on a machine that does not share our storage: sent there, and what changes sent back."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from pluglab.storage.atomic import write_file

Files = Mapping[str, bytes]
CHECKPOINTS = "checkpoints/"


def packed(folder: Path) -> dict[str, bytes]:
    """All of a folder's files by their paths in it."""
    return {name: (folder / name).read_bytes() for name in _names(folder)}


def unpack(files: Files, folder: Path) -> None:
    """Each file is whole at any time. Raises `ValueError` for a path that leads elsewhere."""
    for name, content in files.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{name} is no file of the run's folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, content)


class Changes:
    """What has changed in a folder since it was last asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known = self._stamps()

    def take(self) -> tuple[dict[str, bytes], list[str]]:
        """The files that are new or other, and the names of those that are gone.

        Checkpoints are read first, so that the history reaches as far as they do.
        """
        now = self._stamps()
        changed = [name for name, stamp in now.items() if self._known.get(name) != stamp]
        gone = [name for name in self._known if name not in now]
        found = {}
        for name in sorted(changed, key=lambda one: not one.startswith(CHECKPOINTS)):
            try:
                found[name] = (self.folder / name).read_bytes()
            except FileNotFoundError:  # replaced meanwhile: the next time tells
                now.pop(name)
        self._known = now
        return found, gone

    def _stamps(self) -> dict[str, tuple[int, int]]:
        stamps = {}
        for name in _names(self.folder):
            try:
                facts = (self.folder / name).stat()
            except FileNotFoundError:
                continue
            stamps[name] = facts.st_mtime_ns, facts.st_size
        return stamps


def _names(folder: Path) -> list[str]:
    """Of all files but those that are not finished yet, and the lock, which is of one machine."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    names = (path.relative_to(folder).as_posix() for path in files)
    return [name for name in names if not any(part.startswith(".") for part in name.split("/"))]


def remove(names: list[str], folder: Path) -> None:
    """Files that are gone there."""
    for name in names:
        path = folder / name
        if path.resolve().is_relative_to(folder.resolve()):
            path.unlink(missing_ok=True)


def forget(folder: Path) -> None:
    """A copy that is of no use any more."""
    shutil.rmtree(folder, ignore_errors=True)
