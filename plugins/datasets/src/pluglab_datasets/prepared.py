"""Data sets that are decoded once: arrays in the cache, memory-mapped on every later use."""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from filelock import FileLock

from pluglab.components import Options
from pluglab.data import Images
from pluglab.errors import UserError
from pluglab.protocols import DataContext
from pluglab.storage.atomic import replacing_folder, sweep
from pluglab_datasets.files import FoundFile, OfficialFile, locate
from pluglab_datasets.reading import writing
from pluglab_datasets.splits import labeled, pick

DAY = 86400.0
"""Seconds after which nobody is still making an array."""
PARTIAL = "partial"
VERSION = 2  # of the decoding; a change of it makes the prepared arrays anew


@dataclass
class Part:
    """One decoded split: uint8 N x C x H x W, label values 0 to K - 1 or None, and where they come from.

    `classes` in the provenance names the label values, where they are not the digits.
    """

    pixels: np.ndarray
    labels: np.ndarray | None
    provenance: dict[str, Any] = field(default_factory=dict)


class DigitOptions(Options):
    size: Literal[24, 28, 32] = 32
    """Height and width of the images, in pixels."""
    download: bool = True
    """Fetch missing files into the cache; the data root is never written to."""


class PreparedDataset(ABC):
    """Finds its official files, decodes them once, and serves the arrays. `official` is the number of images
    in each split of the complete data set; another number is recorded as a caveat."""

    name: ClassVar[str]
    official: Mapping[str, int]

    def __init__(self, config: DigitOptions) -> None:
        self.config = config
        self.splits: dict[str, Images] = {}

    @abstractmethod
    def files(self, context: DataContext) -> list[OfficialFile]:
        """What `read` wants, in its order."""

    @abstractmethod
    def read(self, files: list[FoundFile], context: DataContext) -> dict[str, Part]:
        """The decoded splits. Raises `UserError` for a file that is not what it should be."""

    def prepare(self, context: DataContext) -> None:
        found = locate(self.name, self.files(context), context, fetch=self.config.download)
        options = self.config.model_dump(exclude={"download"})
        keys = [file.key(context.cache) for file in found]
        folder = prepared_folder(context, self.name, options, keys)
        self.splits = cached(folder, lambda scratch: self._decode(found, context))
        tell_caveats(self.name, self.splits)

    def split(self, name: str) -> Images:
        return pick(self.splits, name, self.name)

    def _decode(self, found: list[FoundFile], context: DataContext) -> dict[str, Part]:
        parts = self.read(found, context)
        differing = [caveat for file in found for caveat in file.caveats()]
        for split, part in parts.items():
            if not len(part.pixels):
                raise UserError(f"the {split} split of data set '{self.name}' is empty")
            part.provenance = {
                "files": dict(file.key(context.cache) for file in found),
                **part.provenance,
                "count": len(part.pixels),
                "caveats": [*differing, *self._subset(split, part), *part.provenance.get("caveats", [])],
            }
        return parts

    def _subset(self, split: str, part: Part) -> list[str]:
        count, official = len(part.pixels), self.official[split]
        if count == official:
            return []
        note = "figures do not compare with those on the whole set"
        return [f"{split} has {count:,} images where the official data set has {official:,}: {note}"]


def prepared_folder(context: DataContext, name: str, *parts: Any) -> Path:
    """Where the cache holds the arrays that `parts` (options, files) determine."""
    key = json.dumps([VERSION, *parts], sort_keys=True)
    return context.cache / "prepared" / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def tell_caveats(name: str, splits: Mapping[str, Images]) -> None:
    """A warning for each caveat in the splits' provenance."""
    for caveat in dict.fromkeys(c for images in splits.values() for c in images.provenance["caveats"]):
        warnings.warn(f"{name}: {caveat}", stacklevel=3)


def cached(folder: Path, build: Callable[[Path], dict[str, Part]]) -> dict[str, Images]:
    """The splits stored in `folder`, built first where they are not there or are damaged.

    `build` is given a folder for arrays that memory may not hold, gone once they are stored. After it was
    interrupted, it is given what it has left there.
    """
    stored = _load(folder)
    if stored is None:
        with writing(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{folder}.lock"):
                stored = _load(folder)  # another process may have made them
                if stored is None:
                    sweep(folder.parent, folder.name)
                    sweep(folder.parent, seconds=DAY)
                    _store(folder, build)
                    stored = _load(folder)
    if stored is None:
        raise UserError(f"{folder} was written but cannot be read again", help=["is the disk all right?"])
    return stored


def _load(folder: Path) -> dict[str, Images] | None:
    """None where the arrays are not there or, with a warning, are not those that were stored."""
    if not folder.is_dir():
        return None
    try:
        about = json.loads((folder / "provenance.json").read_text())
        splits = {s: labeled(*_arrays(folder, s), facts["provenance"]) for s, facts in about.items()}
        whole = all(images.digest == about[split]["digest"] for split, images in splits.items())
    except Exception:  # damaged arrays raise nearly anything
        whole = False
    if not whole or not splits:
        warnings.warn(f"the prepared images in {folder} are damaged, so they are made again", stacklevel=3)
        return None
    return splits


def _arrays(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray | None]:
    labels = folder / f"{split}_labels.npy"
    # Mapped copy-on-write: torch warns about arrays that cannot be written, and nothing reaches the file.
    pixels = np.load(folder / f"{split}_pixels.npy", mmap_mode="c")
    return pixels, np.load(labels) if labels.exists() else None


def _store(folder: Path, build: Callable[[Path], Mapping[str, Part]]) -> None:
    with replacing_folder(folder) as unfinished:
        scratch = folder.with_name(f".{folder.name}.{PARTIAL}")
        scratch.mkdir(exist_ok=True)
        try:
            parts = build(scratch)
        finally:
            with suppress(OSError):  # only what an interrupted build has left there stays
                scratch.rmdir()
        for split, part in parts.items():
            np.save(unfinished / f"{split}_pixels.npy", np.ascontiguousarray(part.pixels))
            if part.labels is not None:
                np.save(unfinished / f"{split}_labels.npy", part.labels.astype(np.int64))
        about = {split: _facts(unfinished, split, part.provenance) for split, part in parts.items()}
        (unfinished / "provenance.json").write_text(json.dumps(about, indent=2))
    if scratch.is_dir():
        shutil.rmtree(scratch)


def _facts(folder: Path, split: str, provenance: dict[str, Any]) -> dict[str, Any]:
    images = labeled(*_arrays(folder, split), provenance)
    return {"digest": images.digest, "provenance": provenance}


def resize(pixels: np.ndarray, size: int, chunk: int = 4096) -> np.ndarray:
    """uint8 N x C x H x W to N x C x size x size: bilinear, anti-aliased where it shrinks."""
    if pixels.shape[-2:] == (size, size):
        return pixels
    parts = [torch.from_numpy(pixels[i : i + chunk]).float() for i in range(0, len(pixels), chunk)]
    sized = [F.interpolate(part, size=(size, size), mode="bilinear", antialias=True) for part in parts]
    return np.concatenate([part.round().clamp(0, 255).to(torch.uint8).numpy() for part in sized])


def center(pixels: np.ndarray, size: int) -> np.ndarray:
    """Zeros added around, or the border cut off, so that H = W = size; no pixel is changed."""
    add = (size - pixels.shape[-1]) // 2
    if add < 0:
        return pixels[..., -add:add, -add:add]
    return np.pad(pixels, [(0, 0)] * (pixels.ndim - 2) + [(add, add)] * 2)
