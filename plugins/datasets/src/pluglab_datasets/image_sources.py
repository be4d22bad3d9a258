"""The files of a folder, a tar, a zip or parquet, one after the other and without unpacking anything."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol

from pluglab.data.image_files import SUFFIXES, files_below, is_hidden
from pluglab.errors import UserError
from pluglab.protocols import DataContext
from pluglab_datasets.content import content_hash
from pluglab_datasets.image_parquet import Parquet
from pluglab_datasets.label_tables import Row
from pluglab_datasets.reading import reading


class Source(Protocol):
    """A place that holds files. Names are relative, with forward slashes."""

    path: Path

    def key(self, cache: Path) -> str:
        """Changes whenever a file is added, removed, renamed or holds something else."""
        ...

    def files(self) -> list[str]:
        """The names of all files, sorted; hidden ones are left out."""
        ...

    def contents(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """These files in any order; b'' for one that cannot be read."""
        ...

    def rows(self) -> list[Row]:
        """The labels that it holds beside the files; nothing where they are in the files' names."""
        ...


class _Place:
    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self) -> list[Row]:
        return []


class Folder(_Place):
    """A folder, with the folders below it."""

    def key(self, cache: Path) -> str:
        return content_hash(self.path, self.files(), cache)

    def files(self) -> list[str]:
        with reading(self.path):
            return files_below(self.path)

    def contents(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        for name in names:
            try:
                yield name, (self.path / name).read_bytes()
            except OSError:
                yield name, b""


class _Archive(_Place):
    def key(self, cache: Path) -> str:
        return content_hash(self.path.parent, [self.path.name], cache)


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
            return open_source(place)
    root = [] if context.root else ["no data root is set: give --data-root DIR or set LAB_DATA_ROOT"]
    raise UserError(f"there is no '{written}'", help=[*(f"looked for {place}" for place in looked), *root])


def open_source(path: Path) -> Source:
    """The folder or archive there. Raises `UserError` for a file of another kind."""
    if path.is_dir():
        names = files_below(path)
        shards = [name for name in names if name.endswith(".parquet")]
        images = any(name.lower().endswith(SUFFIXES) for name in names)
        return Parquet(path, shards) if shards and not images else Folder(path)
    if path.suffix == ".parquet":
        return Parquet(path.parent, [path.name])
    if zipfile.is_zipfile(path):
        return Zip(path)
    with reading(path):
        if tarfile.is_tarfile(path):
            return Tar(path)
    help = ["get it again, or name the folder of the images"]
    raise UserError(f"{path} is neither a folder nor a tar nor a zip, nor parquet", help=help)


def _unzipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    try:
        return archive.read(info)
    except (OSError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return b""


def _tidy(name: str) -> str:
    return PurePosixPath(name.lstrip("/")).as_posix()


def _visible(names: Iterator[str]) -> list[str]:
    return sorted({name for name in names if not is_hidden(name)})
