"""The official files of a data set: found below the data root or in the cache, or else downloaded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pluglab.errors import UserError
from pluglab.protocols import DataContext
from pluglab_datasets.content import content_hash
from pluglab_datasets.download import DownloadError, Transfer, download, md5_of
from pluglab_datasets.image_sources import open_source
from pluglab_datasets.reading import writing

EMBEDDED = "no files at hand? these run on data that is built in: lab run recipes/dann_digits.toml"


@dataclass(frozen=True)
class OfficialFile:
    """`path` is relative to the data root. `md5` is that of the download, None where none is published.

    `others` are further places and forms in which the file is accepted, each with its MD5, and `unpacked`
    are folders that hold what it does. `unread` are files in which some have the same data, but which are
    not read.
    """

    path: str
    urls: tuple[str, ...]
    md5: str | None = None
    others: tuple[tuple[str, str | None], ...] = ()
    unpacked: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def accepted(self) -> dict[str, str | None]:
        return {self.path: self.md5, **dict(self.others)}


@dataclass(frozen=True)
class FoundFile:
    """A file, or an unpacked folder, that is there. `name` is its path below the data root or the cache."""

    path: Path
    name: str
    md5: str | None

    def key(self, cache: Path) -> tuple[str, str]:
        """Changes with the name and with what it holds."""
        return self.name, content_of(self.path, cache)

    def caveats(self) -> list[str]:
        """Words for a file that is not the official one, else nothing. Reads the file."""
        if self.md5 is None or self.md5 == md5_of(self.path):
            return []
        return [f"{self.name} is not the official file (its MD5 differs)"]


def find(file: OfficialFile, context: DataContext) -> FoundFile | None:
    """Data root first, then the cache."""
    for folder in (context.root, context.cache):
        for name, md5 in file.accepted.items():
            if folder and (folder / name).is_file():
                return FoundFile(folder / name, name, md5)
        for name in file.unpacked:
            if folder and (folder / name).is_dir():
                return FoundFile(folder / name, name, None)
    return None


def locate(
    dataset: str, files: Sequence[OfficialFile], context: DataContext, *, fetch: bool
) -> list[FoundFile]:
    """Every file, downloaded where it is missing and `fetch` allows. Raises `UserError` with the way out."""
    missing = [file for file in files if find(file, context) is None]
    if not fetch or not all(file.urls for file in missing):
        _report(dataset, missing, context)
    for file in missing:
        _fetch(dataset, file, missing, context)
    return [found for file in files if (found := find(file, context))]


def _report(dataset: str, missing: Sequence[OfficialFile], context: DataContext) -> None:
    if missing:
        names = ", ".join(file.path for file in missing)
        raise UserError(f"data set '{dataset}' needs {names}, not found", help=_ways(missing, context))


def _fetch(dataset: str, file: OfficialFile, missing: Sequence[OfficialFile], context: DataContext) -> None:
    target = context.cache / file.path
    try:
        with writing(target):
            download(file.urls, Transfer(target, file.md5, context.track))
    except DownloadError as error:
        tried = [f"tried {line}" for line in str(error).splitlines()]
        message = f"data set '{dataset}' needs {file.path}, which could not be downloaded"
        raise UserError(message, help=[*tried, *_ways(missing, context)]) from error


def content_of(path: Path, cache: Path) -> str:
    """A hash of what a file or a folder holds."""
    return open_source(path).key(cache) if path.is_dir() else content_hash(path.parent, [path.name], cache)


def _ways(missing: Iterable[OfficialFile], context: DataContext) -> list[str]:
    root = context.root or "DATA_ROOT"
    where = "below the data root (--data-root or LAB_DATA_ROOT"
    where += f", now {context.root})" if context.root else "; none is set)"
    lines = [
        f"{file.urls[0]} -> {root}/{file.path}" if file.urls else f"{root}/{file.path}" for file in missing
    ]
    unread = [context.root / name for file in missing for name in file.unread if context.root]
    notes = [f"{path} is there, but this form of the data is not read" for path in unread if path.exists()]
    return [*dict.fromkeys(notes), f"put it {where}:", *lines, EMBEDDED]
