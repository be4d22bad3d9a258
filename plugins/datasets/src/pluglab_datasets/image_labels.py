"""The labels of images: from the folders that they are in, or from tables that name them."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import replace
from itertools import islice, takewhile
from pathlib import Path

from pluglab.data.image_files import SUFFIXES
from pluglab.errors import UserError, did_you_mean
from pluglab_datasets.image_listing import Entry, Splits, some
from pluglab_datasets.label_tables import Row

COMPARED = 5000  # names among which one like a name that is wrong is looked for


def by_folders(splits: Splits, *, required: bool) -> tuple[Splits, list[str]]:
    """Each image labeled with its first folder, where the images of `train` are all in one of several.

    Another split without these folders has no labels, and a caveat says so. Raises `UserError` where images
    have no label but must.
    """
    folders = {split: {entry.folder for entry in part} for split, part in splits.items()}
    bare = [split for split, found in folders.items() if _bare(found, folders["train"])]
    classes = {folder for split, found in folders.items() if split not in bare for folder in found}
    if "train" in bare or len(classes) < 2 or (required and bare):
        if required:
            raise _no_classes(splits, bare)
        return splits, []
    note = f"images of {' and '.join(bare)} are in no class folders like those of train: they have no labels"
    labeled = {
        split: part if split in bare else [replace(entry, label=entry.folder) for entry in part]
        for split, part in splits.items()
    }
    return labeled, [note] if bare else []


def _bare(folders: set[str | None], classes: set[str | None]) -> bool:
    """Whether these folders are no classes: some image is in none, or all are in one that train lacks."""
    return None in folders or (len(folders) == 1 and not folders & classes)


def _no_classes(splits: Splits, bare: Sequence[str]) -> UserError:
    loose = [entry.file for split in bare for entry in splits[split] if entry.folder is None]
    found = f"in no folder: {some(loose)}" if loose else "all are in one folder"
    of = f" of {' and '.join(bare)}" if len(splits) > 1 and bare else ""
    ways = ['`labels = "auto"` does without the labels of test'] if of and "train" not in bare else []
    help = [*ways, '`labels = "none"` does without any']
    return UserError(f"the images{of} have no class folders ({found})", help=help)


def by_table(entries: Sequence[Entry], rows: Sequence[Row], place: Path, path: str) -> list[Entry]:
    """The images in `place`, those that a table names with their labels.

    A name may be a whole path, or leave out leading folders. Raises `UserError` for images that are not
    there, or that have two labels.
    """
    file_of = _matched(rows, entries, place, path)
    label_of: dict[str, Row] = {}
    for row in rows:
        first = label_of.setdefault(file_of[row.name], row)
        if first.label != row.label:
            message = f"{row.where}: '{row.name}' is labeled {row.label}, and {first.label} at {first.where}"
            raise UserError(message, help=["an image has one class: remove one of the two"])
    return [replace(e, label=label_of[e.file].label) if e.file in label_of else e for e in entries]


def only_named(splits: Splits, path: str) -> tuple[Splits, list[str]]:
    """The splits without the images that a table does not name, and caveats.

    A split other than `train` of which it names none stays as it is, without labels.
    """
    bare = [s for s, part in splits.items() if s != "train" and not any(e.label is not None for e in part)]
    missing = [e.file for s, part in splits.items() if s not in bare for e in part if e.label is None]
    named = {s: part if s in bare else [e for e in part if e.label is not None] for s, part in splits.items()}
    if not named["train"]:
        raise UserError(
            f"{path} names no image of the train split", help=['name some, or write `labels = "none"`']
        )
    notes = [f"{path} names no image of {' and '.join(bare)}: they have no labels"] if bare else []
    if missing:
        notes.append(f"images that {path} does not name were left out ({len(missing):,}): {some(missing)}")
    return named, notes


def _matched(rows: Sequence[Row], entries: Sequence[Entry], place: Path, path: str) -> dict[str, str]:
    """The file that each name means."""
    known: dict[str, list[str]] = {}
    for entry in entries:
        for end in _endings(entry.file):
            known.setdefault(end, []).append(entry.file)
    where = {row.name: row.where for row in rows}
    inner = {name: _inner(name, known, place) for name in where}
    absent = [name for name, short in inner.items() if short not in known]
    if absent:
        inner |= _moved(absent, {entry.file for entry in entries}, place)
        absent = [name for name in absent if inner[name] not in known]
    if absent:
        help = (
            did_you_mean(absent[0], islice(known, COMPARED)) or f"an image that there is: {entries[0].file}"
        )
        message = f"{path} names images that are not there ({len(absent):,}): {some(absent)}"
        raise UserError(message, help=[help, f"the first is at {where[absent[0]]}"])
    double = [name for name, short in inner.items() if len(known[short]) > 1 and short not in known[short]]
    if double:
        several = ", ".join(sorted(known[inner[double[0]]])[:2])
        message = f"{path} names images of which there are several: {some(double)}"
        raise UserError(message, help=[f"write more of the path: {several}"])
    return {name: short if short in known[short] else known[short][0] for name, short in inner.items()}


def _inner(name: str, known: Container[str], place: Path) -> str:
    """What of a name is known: as it is, without the folders down to the place, or with a suffix."""
    for form in (name, _within(name, place)):
        named = [form + end for end in SUFFIXES if form + end in known]
        if form in known or len(named) == 1:
            return form if form in known else named[0]
    return name


def _within(name: str, place: Path) -> str:
    """A path that goes through the place, as what follows it: /w/pets/cat/0.png or pets/cat/0.png in
    /w/pets is cat/0.png. Other names stay as they are."""
    last = place.name.split(".")[0] if place.is_file() else place.name
    folders = [*place.parent.parts[1:], last]
    parts = name.removeprefix("/").split("/")
    ends = (i for i in range(len(parts) - 1, 0, -1) if folders[-i:] == parts[:i])
    return "/".join(parts[i:]) if (i := next(ends, 0)) else name


def _moved(names: Sequence[str], files: set[str], place: Path) -> dict[str, str]:
    """Names from a list that was written where the images lay before.

    They are without folders that all of them share: as many of these as make every name a file of today.
    """
    whole = all(re.match(r"/|[A-Za-z]:/", name) for name in names)
    folders = zip(*(name.split("/")[:-1] for name in names), strict=False)
    shared = [same[0] for same in takewhile(lambda parts: len(set(parts)) == 1, folders)]
    for i in range(1, len(shared) + 1):
        inner = {name: "/".join(name.split("/")[i:]) for name in names}
        if (whole or shared[i - 1] == place.name) and files.issuperset(inner.values()):
            return inner
    return {name: name for name in names}


def _endings(file: str) -> list[str]:
    parts = file.split("/")
    return ["/".join(parts[i:]) for i in range(len(parts))]
