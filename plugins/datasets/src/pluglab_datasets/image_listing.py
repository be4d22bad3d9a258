"""Which images a folder or archive holds, and their splits, all from names alone."""

from __future__ import annotations

import os.path
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pluglab.data import derived_seed
from pluglab.data.image_files import SUFFIXES
from pluglab.errors import UserError

UNREAD = (".heic", ".heif", ".jxl", ".svg", ".tga", ".psd", ".exr", ".dng", ".cr2", ".nef", ".dcm")
SPLITS = {"train": "train", "test": "test", "val": "val", "valid": "val", "validation": "val"}
NAMED = 5  # files that a message names
Splits = dict[str, list["Entry"]]


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


def images_of(files: Sequence[str], place: object) -> tuple[list[Entry], list[str]]:
    """The images among `files`, and caveats about pictures of other kinds. Raises `UserError` where there
    are none."""
    found = [file for file in files if file.lower().endswith(SUFFIXES)]
    other = [file for file in files if file.lower().endswith(UNREAD)]
    if not found:
        help = [f"it should hold files that end in {', '.join(SUFFIXES)}, at any depth"]
        raise UserError(f"{place} holds no images{f', but {some(other)}' if other else ''}", help=help)
    note = f"files of kinds that are not read were left out ({len(other):,}): {some(other)}"
    return shortened([Entry(file, file) for file in found]), [note] if other else []


def divided(entries: list[Entry]) -> tuple[Splits, list[str]]:
    """The splits that folders are called like, or else `train` alone; and caveats."""
    tops = {entry.folder for entry in entries}
    present = {SPLITS[top.lower()] for top in tops if top and top.lower() in SPLITS}
    if "train" in present and len(present) > 1:
        return _by_folder(entries, present)
    return {"train": entries}, []


def _by_folder(entries: list[Entry], present: set[str]) -> tuple[Splits, list[str]]:
    names = SPLITS if "test" in present else {**SPLITS, "val": "test", "valid": "test", "validation": "test"}
    splits: Splits = {}
    outside = []
    for entry in entries:
        split = names.get((entry.folder or "").lower())
        if split is None:
            outside.append(entry.name)
        else:
            splits.setdefault(split, []).append(replace(entry, name=entry.name.split("/", 1)[1]))
    note = f"images outside {' and '.join(splits)} were left out ({len(outside):,}): {some(outside)}"
    inner = iter(shortened([entry for part in splits.values() for entry in part]))
    return {s: [next(inner) for _ in part] for s, part in splits.items()}, [note] if outside else []


def held_out(entries: list[Entry], share: float) -> Splits:
    """The images whose names have the smallest hashes as `test`, the same share of every class."""
    if share == 0:
        return {"train": entries}
    if len(entries) == 1:
        help = ["`test_share = 0` trains on it and holds nothing out"]
        raise UserError(f"there is one image, {entries[0].file}: too few for train and test", help=help)
    by_class: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: derived_seed("image_folder", entry.name)):
        by_class.setdefault(entry.label or "", []).append(entry)
    count = min(max(1, round(share * len(entries))), len(entries) - 1)
    counts = _shared_out(count, {name: len(part) for name, part in by_class.items()})
    test = {entry.file for name, part in by_class.items() for entry in part[: counts[name]]}
    return {
        "train": [entry for entry in entries if entry.file not in test],
        "test": [entry for entry in entries if entry.file in test],
    }


def _shared_out(count: int, sizes: dict[str, int]) -> dict[str, int]:
    """`count` of all, in proportion to the sizes: rounded down, and the rest to the largest remainders.

    A class loses its last image only where nothing else is left.
    """
    total = sum(sizes.values())
    counts = {name: count * size // total for name, size in sizes.items()}
    rest = {name: count * size % total for name, size in sizes.items()}
    order = sorted(sizes, key=lambda name: (sizes[name] == counts[name] + 1, -rest[name], name))
    for name in order[: count - sum(counts.values())]:
        counts[name] += 1
    return counts


def shortened(entries: Iterable[Entry]) -> list[Entry]:
    """Without the leading folders that all of them share."""
    entries = list(entries)
    shared = os.path.commonpath([entry.name.rpartition("/")[0] for entry in entries])
    return [replace(e, name=e.name[len(shared) + 1 :]) for e in entries] if shared else entries
