"""Which images a folder or archive holds, their splits and their labels, all from names alone."""

from __future__ import annotations

import csv
import io
import os.path
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pluglab.data import derived_seed
from pluglab.errors import UserError, did_you_mean

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
SPLITS = {"train": "train", "test": "test", "val": "val", "valid": "val", "validation": "val"}
NAMED = 5  # files that a message names


@dataclass(frozen=True)
class Entry:
    """One image: `file` is its name in the source, `name` what follows the folders that all images share."""

    file: str
    name: str
    label: str | None = None

    @property
    def folder(self) -> str | None:
        return self.name.split("/")[0] if "/" in self.name else None


def some(names: Sequence[str]) -> str:
    """The first few of them, for a message."""
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")


def images_of(files: Iterable[str], place: object) -> list[Entry]:
    """The images among `files`. Raises `UserError` where there are none."""
    found = [file for file in files if file.lower().endswith(SUFFIXES)]
    if not found:
        help = [f"it should hold files that end in {', '.join(SUFFIXES)}, at any depth"]
        raise UserError(f"{place} holds no images", help=help)
    return _shortened([Entry(file, file) for file in found])


def divided(entries: list[Entry], test_share: float) -> tuple[dict[str, list[Entry]], list[str]]:
    """The splits, and caveats: folders that are called like splits, or else a share held out by hash."""
    tops = {entry.folder for entry in entries}
    present = {SPLITS[top.lower()] for top in tops if top and top.lower() in SPLITS}
    if "train" in present and len(present) > 1:
        return _by_folder(entries, present)
    return _held_out(entries, test_share), []


def _by_folder(entries: list[Entry], present: set[str]) -> tuple[dict[str, list[Entry]], list[str]]:
    names = SPLITS if "test" in present else {**SPLITS, "val": "test", "valid": "test", "validation": "test"}
    splits: dict[str, list[Entry]] = {}
    outside = []
    for entry in entries:
        split = names.get((entry.folder or "").lower())
        if split is None:
            outside.append(entry.name)
        else:
            splits.setdefault(split, []).append(replace(entry, name=entry.name.split("/", 1)[1]))
    note = f"images outside {' and '.join(splits)} were left out ({len(outside):,}): {some(outside)}"
    inner = iter(_shortened([entry for part in splits.values() for entry in part]))
    return {s: [next(inner) for _ in part] for s, part in splits.items()}, [note] if outside else []


def _held_out(entries: list[Entry], share: float) -> dict[str, list[Entry]]:
    if share == 0:
        return {"train": entries}
    if len(entries) == 1:
        help = ["`test_share = 0` trains on it and holds nothing out"]
        raise UserError(f"there is one image, {entries[0].file}: too few for train and test", help=help)
    count = min(max(1, round(share * len(entries))), len(entries) - 1)
    by_hash = sorted(entries, key=lambda entry: derived_seed("image_folder", entry.name))
    test = {entry.file for entry in by_hash[:count]}
    return {
        "train": [entry for entry in entries if entry.file not in test],
        "test": [entry for entry in entries if entry.file in test],
    }


def by_folders(splits: Mapping[str, list[Entry]], *, required: bool) -> dict[str, list[Entry]]:
    """Each image labeled with its first folder, where every image is in one of several.

    Raises `UserError` where that is not so but `required`.
    """
    entries = [entry for part in splits.values() for entry in part]
    loose = [entry.name for entry in entries if entry.folder is None]
    if not loose and len({entry.folder for entry in entries}) > 1:
        return {s: [replace(entry, label=entry.folder) for entry in part] for s, part in splits.items()}
    if required:
        found = f"in no folder: {some(loose)}" if loose else "all images are in one folder"
        raise UserError(f"the images have no class folders ({found})", help=['write `labels = "none"`'])
    return dict(splits)


def by_table(entries: list[Entry], table: bytes, path: str) -> tuple[list[Entry], list[str]]:
    """The images that a CSV with the columns name,label names, labeled, and caveats.

    A name may leave out leading folders. Raises `UserError` for a table that is no such table or names
    images that are not there.
    """
    labels = _read(table, path)
    known: dict[str, set[str]] = {}
    for entry in entries:
        for end in _endings(entry.file):
            known.setdefault(end, set()).add(entry.file)
    _check(labels, known, path)
    label_of = {next(iter(known[name])): label for name, label in labels.items()}
    missing = [entry.name for entry in entries if entry.file not in label_of]
    note = f"images that {path} does not name were left out ({len(missing):,}): {some(missing)}"
    found = [replace(entry, label=label_of[entry.file]) for entry in entries if entry.file in label_of]
    return found, [note] if missing else []


def _check(labels: Mapping[str, str], known: Mapping[str, set[str]], path: str) -> None:
    absent = [name for name in labels if name not in known]
    if absent:
        help = did_you_mean(absent[0], known) or f"an image that there is: {next(iter(known))}"
        message = f"{path} names images that are not there ({len(absent):,}): {some(absent)}"
        raise UserError(message, help=[help])
    double = [name for name in labels if len(known[name]) > 1]
    if double:
        message = f"{path} names images of which there are several: {some(double)}"
        raise UserError(message, help=[f"write more of the path: {', '.join(sorted(known[double[0]])[:2])}"])


def _read(table: bytes, path: str) -> dict[str, str]:
    try:
        rows = csv.DictReader(io.StringIO(table.decode("utf-8-sig")), skipinitialspace=True)
        labels = {row["name"].strip().removeprefix("./"): row["label"].strip() for row in rows}
    except (KeyError, AttributeError, UnicodeDecodeError, csv.Error) as error:
        help = ["its first line must be name,label and every other line an image and its class"]
        raise UserError(f"{path} is no table of names and labels", help=help) from error
    if not labels:
        raise UserError(f"{path} names no image", help=["below the line name,label, write an image a line"])
    return labels


def _endings(file: str) -> list[str]:
    parts = file.split("/")
    return ["/".join(parts[i:]) for i in range(len(parts))]


def _shortened(entries: list[Entry]) -> list[Entry]:
    """Without the leading folders that all of them share."""
    shared = os.path.commonpath([entry.name.rpartition("/")[0] for entry in entries])
    return [replace(e, name=e.name[len(shared) + 1 :]) for e in entries] if shared else entries
