"""The files of a folder, a tar or a zip, one after the other and without unpacking anything."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from pluglab.errors import UserError
from pluglab.protocols import DataContext
from pluglab_datasets.files import reading


class Source(Protocol):
    """A place that holds files. Names are relative, with forward slashes."""

    path: Path

    def key(self) -> list[Any]:
        """Changes whenever a file is added, removed or written."""
        ...

    def files(self) -> list[str]:
        """The names of all files, sorted; hidden ones are left out."""
        ...

    def contents(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """These files in any order; b'' for one that cannot be read."""
        ...


class Folder:
    """A folder, with the folders below it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def key(self) -> list[Any]:
        stats = ((name, (self.path / name).stat()) for name in self.files())
        return [str(self.path), [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]]

    def files(self) -> list[str]:
        with reading(self.path):
            found = (path for path in self.path.rglob("*") if path.is_file())
            return _visible(path.relative_to(self.path).as_posix() for path in found)

    def contents(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        for name in names:
            try:
                yield name, (self.path / name).read_bytes()
            except OSError:
                yield name, b""


class _Archive:
    def __init__(self, path: Path) -> None:
        self.path = path

    def key(self) -> list[Any]:
        stat = self.path.stat()
        return [str(self.path), stat.st_size, stat.st_mtime_ns]


class Tar(_Archive):
    """A tar, compressed or not. Read front to back: a compressed one cannot be read in any other order."""

    def files(self) -> list[str]:
        with reading(self.path), tarfile.open(self.path) as archive:
            return _visible(_tidy(member.name) for member in archive if member.isfile())

    def contents(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        wanted = frozenset(names)
        with reading(self.path), tarfile.open(self.path, "r|*") as archive:
            for member in archive:
                if member.isfile() and _tidy(member.name) in wanted:
                    yield _tidy(member.name), archive.extractfile(member).read()  # type: ignore[union-attr]


class Zip(_Archive):
    """A zip."""

    def files(self) -> list[str]:
        with reading(self.path), zipfile.ZipFile(self.path) as archive:
            return _visible(_tidy(info.filename) for info in archive.infolist() if not info.is_dir())

    def contents(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        wanted = frozenset(names)
        with reading(self.path), zipfile.ZipFile(self.path) as archive:
            for info in archive.infolist():
                if _tidy(info.filename) in wanted:
                    yield _tidy(info.filename), _unzipped(archive, info)


def places(written: str, context: DataContext) -> list[Path]:
    """What a path may mean, as whole paths."""
    return list(dict.fromkeys(place.resolve() for place in context.places(written)))


def find_source(written: str, context: DataContext) -> Source:
    """The folder or archive that a recipe names. Raises `UserError` where there is none."""
    looked = places(written, context)
    for place in looked:
        if place.exists():
            return _open(place)
    root = [] if context.root else ["no data root is set: give --data-root DIR or set LAB_DATA_ROOT"]
    raise UserError(f"there is no '{written}'", help=[*(f"looked for {place}" for place in looked), *root])


def _open(path: Path) -> Source:
    if path.is_dir():
        return Folder(path)
    if zipfile.is_zipfile(path):
        return Zip(path)
    with reading(path):
        if tarfile.is_tarfile(path):
            return Tar(path)
    raise UserError(f"{path} is neither a folder nor a tar nor a zip", help=["name the folder of the images"])


def _unzipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    try:
        return archive.read(info)
    except (OSError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return b""


def _tidy(name: str) -> str:
    return PurePosixPath(name.lstrip("/")).as_posix()


def _visible(names: Iterator[str]) -> list[str]:
    # Archives made on a Mac hold a ._name for every name, and a folder of them in a zip.
    hidden = (".", "__MACOSX")
    return sorted({name for name in names if not any(p.startswith(hidden) for p in name.split("/"))})
