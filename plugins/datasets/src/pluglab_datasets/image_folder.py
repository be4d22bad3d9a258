"""Any folder or archive of images as a data set."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from pydantic import Field

from pluglab.data import Images
from pluglab.errors import UserError
from pluglab.protocols import DataContext
from pluglab_datasets.files import content_of
from pluglab_datasets.image_framing import Framing, FramingOptions
from pluglab_datasets.image_labels import by_folders, by_table, only_named
from pluglab_datasets.image_listing import Splits, divided, held_out, images_of, some
from pluglab_datasets.image_sources import Source, find_source, places
from pluglab_datasets.label_sources import FOLDERS, STYLEGAN, rows_of
from pluglab_datasets.prepared import Part, cached, prepared_folder, tell_caveats
from pluglab_datasets.splits import pick

CHUNK = 256  # files held in memory at a time
KEPT = 4096  # files after which it is noted on the disk that they have been read
READ, DAMAGED = 1, 2  # what has become of a file; 0: nobody has tried


class ImageFolderOptions(FramingOptions):
    path: str
    """A folder, tar, zip or parquet: absolute, or relative to the working directory or to the data root."""
    labels: str = "auto"
    """'folders' (the class is the first folder), 'none', 'auto' (a dataset.json, metadata.csv or parquet
    column of labels; else folders where every image is in one of several), or a table: CSV with the columns
    name,label, or a list of 'path label' lines. It is looked for like `path`, and then inside it."""
    test_share: float = Field(0.1, ge=0, lt=1)
    """Share of the images held out as the test split, where no folders are called train and test: the same
    of every class."""


class ImageFolder:
    """The images of a folder, a tar or a zip, at any depth, or of parquet files.

    PNG, JPEG, WebP, BMP, GIF, TIFF, JPEG 2000, AVIF and PNM. Folders train/ and test/ (or val/) are the
    splits. Without them the images whose names have the smallest hashes are held out, so that adding images
    moves few others. Files that cannot be read are left out, and a warning names them. Of an animation the
    first frame is taken.
    """

    Config = ImageFolderOptions
    name = "image_folder"

    def __init__(self, config: ImageFolderOptions) -> None:
        self.config, self.framing = config, Framing(config)
        self.splits: dict[str, Images] = {}

    def prepare(self, context: DataContext) -> None:
        source = find_source(self.config.path, context)
        table = self._table(context)
        # Not `path`: data that were moved are the same data. Its last folder may stand in a table's names.
        options = self.config.model_dump(exclude={"path"}) | {"place": source.path.name}
        keys = [source.key(context.cache), content_of(table, context.cache) if table else None]
        folder = prepared_folder(context, self.name, options, keys)
        self.splits = cached(folder, lambda scratch: self._build(source, table, context, scratch))
        for images in self.splits.values():
            images.provenance["path"] = self.config.path
        tell_caveats(self.name, self.splits)

    def split(self, name: str) -> Images:
        return pick(self.splits, name, self.name)

    def _table(self, context: DataContext) -> Path | None:
        """The table of the labels, where there is one outside the source."""
        if self.config.labels in FOLDERS:
            return None
        return next((place for place in places(self.config.labels, context) if place.is_file()), None)

    def _build(
        self, source: Source, table: Path | None, context: DataContext, scratch: Path
    ) -> dict[str, Part]:
        splits, caveats = self._listed(source, table)
        with context.track("reading images", sum(map(len, splits.values()))) as bar:
            store = _Store(splits, self.config, scratch)
            missing = store.missing()
            bar.advance(len(store.rows) - len(missing))
            try:
                for number, (name, pixels) in enumerate(_decoded(source, missing, self.framing), start=1):
                    store.put(name, pixels)
                    bar.advance()
                    if number % KEPT == 0:
                        store.keep()
            finally:
                store.keep()
        return store.parts(caveats)

    def _listed(self, source: Source, table: Path | None) -> tuple[Splits, list[str]]:
        """The labeled images of each split, and caveats about those left out."""
        files, labels = source.files(), self.config.labels
        entries, caveats = images_of(files, source.path)
        rows, name = rows_of(source, files, table, labels)
        splits, outside = divided(by_table(entries, rows, source.path, name) if rows else entries)
        caveats += outside
        if rows:
            splits, notes = only_named(splits, name)
            caveats += notes
        elif name != STYLEGAN and labels in ("auto", "folders"):
            splits, notes = by_folders(splits, required=labels == "folders")
            caveats += notes
        return splits if len(splits) > 1 else held_out(splits["train"], self.config.test_share), caveats


class _Store:
    """A row on disk for every image; those that could not be read are closed up at the end.

    What was kept is there for another process, after this one has been killed. The names of the files, and so
    the rows, are the same for it: the folder is that of their content.
    """

    def __init__(self, splits: Splits, options: FramingOptions, scratch: Path) -> None:
        self.splits = splits
        self.rows = {e.file: (split, row) for split, part in splits.items() for row, e in enumerate(part)}
        frame = options.channels, options.size, options.size
        self.pixels = {s: _array(scratch / f"{s}.npy", (len(part), *frame)) for s, part in splits.items()}
        self.kept = {s: _array(scratch / f"{s}_kept.npy", (len(part),)) for s, part in splits.items()}
        self.found = {split: kept.copy() for split, kept in self.kept.items()}

    def missing(self) -> list[str]:
        """The names of the files that nobody has tried to read yet."""
        return [name for name, (split, row) in self.rows.items() if not self.found[split][row]]

    def put(self, name: str, pixels: np.ndarray | None) -> None:
        split, row = self.rows[name]
        if pixels is not None:
            self.pixels[split][row] = pixels
        self.found[split][row] = DAMAGED if pixels is None else READ

    def keep(self) -> None:
        """Pixels are on the disk before it is noted that they are."""
        for split, found in self.found.items():
            self.pixels[split].flush()
            self.kept[split][:] = found
            self.kept[split].flush()

    def _forget(self) -> None:
        """Rows are about to change their places, so what is kept counts no longer."""
        for kept in self.kept.values():
            kept[:] = 0
            kept.flush()

    def parts(self, caveats: list[str]) -> dict[str, Part]:
        """The splits without the holes. Raises `UserError` where nothing is left of one."""
        rows = self.rows.items()
        damaged = sorted(name for name, (split, row) in rows if self.found[split][row] != READ)
        if damaged:
            self._forget()
            count = f"{len(damaged):,} of {len(self.rows):,} files"
            caveats = [*caveats, f"{count} cannot be read as images and were left out: {some(damaged)}"]
        names = _classes(entry.label for part in self.splits.values() for entry in part)
        shared = {"caveats": caveats, **({"classes": names} if names else {})}
        return {split: self._part(split, names, shared) for split in self.splits}

    def _part(self, split: str, names: list[str], provenance: Mapping[str, Any]) -> Part:
        kept = np.flatnonzero(self.found[split] == READ)
        if not len(kept):
            message = f"none of the images of the {split} split can be read: "
            raise UserError(message + some([entry.file for entry in self.splits[split]]))
        pixels = self.pixels[split]
        for row, origin in enumerate(kept):
            if row != origin:
                pixels[row] = pixels[origin]
        number = {name: i for i, name in enumerate(names)}
        labels = [number.get(self.splits[split][i].label or "") for i in kept]
        values = None if None in labels else np.array(labels)
        return Part(pixels[: len(kept)], values, {**provenance, "count": len(kept)})


def _array(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.uint8]]:
    """A uint8 array in a file: the one that is there, or zeros."""
    try:
        found = open_memmap(path, mode="r+")
    except (OSError, ValueError):
        found = None
    if found is None or found.shape != shape or found.dtype != np.uint8:
        found = open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    return found


def _classes(labels: Iterator[str | None]) -> list[str]:
    """The names of the classes: numbers in their order, words in the alphabet's."""
    found = {label for label in labels if label is not None}
    return sorted(found, key=lambda name: (int(name) if name.isdecimal() else float("inf"), name))


def _decoded(
    source: Source, names: Collection[str], framing: Framing
) -> Iterator[tuple[str, np.ndarray | None]]:
    """Every image with its pixels, None for one that cannot be read."""
    files = source.contents(names)
    # Threads are enough: PIL releases Python's lock while it decodes and resizes.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while chunk := list(islice(files, CHUNK)):
            yield from pool.map(lambda file: (file[0], _pixels(framing, *file)), chunk)


def _pixels(framing: Framing, name: str, data: bytes) -> np.ndarray | None:
    try:
        return framing(data, name)
    except UserError:
        raise
    except Exception:  # PIL raises nearly anything for a damaged file
        return None
