"""What `lab predict` does."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pluglab.cli.sampling import write_table
from pluglab.data.batches import to_float
from pluglab.engine.evaluation import evaluating
from pluglab.errors import UserError, did_you_mean
from pluglab.experiments.experiment import Session
from pluglab.figures import SUFFIXES, read_picture
from pluglab.images import ImageSpec
from pluglab.protocols import Classifies
from pluglab.trained import Restored, restore

NAMED = 5  # damaged files that are named
Row = tuple[str, str, str]


@dataclass(frozen=True)
class Order:
    """What is wanted: the classes of the images in `folder`, in the table `out`."""

    folder: Path
    out: Path
    role: str | None
    batch_size: int
    overwrite: bool


def predict(run: Path, order: Order, step: int | None, session: Session) -> None:
    """Raises `UserError` for a folder without images, or a model that does not classify."""
    if order.out.exists() and not order.overwrite:
        raise UserError(f"{order.out} is there already", help=["name another file, or give --overwrite"])
    files = _pictures(order.folder)
    found = restore(run, Classifies, session, step)
    role = _role(found, order.role)
    rows, damaged = _classify(found, role, files, order, session)
    if damaged:
        named = ", ".join(damaged[:NAMED]) + (", ..." if len(damaged) > NAMED else "")
        count = f"{len(damaged):,} of {len(files):,} files"
        warnings.warn(f"{count} cannot be read as an image: {named}", stacklevel=2)
    if not rows:
        raise UserError(f"no image in {order.folder} can be read")
    write_table(order.out, ("name", "class", "probability"), rows)
    print(f"{len(rows):,} images: {order.out}")


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder")
    visible = (path for path in folder.rglob("*") if not path.name.startswith("."))
    files = sorted(path for path in visible if path.suffix.lower() in SUFFIXES)
    if not files:
        help = [f"it should hold files that end in {', '.join(SUFFIXES)}, at any depth"]
        raise UserError(f"{folder} holds no images", help=help)
    return files


def _role(found: Restored, asked: str | None) -> str:
    """The role asked for, or the only one. Raises `UserError`."""
    roles = list(found.specs)
    if asked is None and len(roles) > 1:
        help = [f"write --role {role}" for role in roles]
        raise UserError(f"'{found.name}' reads {' and '.join(roles)}: which are the images like?", help=help)
    if asked is not None and asked not in roles:
        ways = filter(None, [did_you_mean(asked, roles), f"roles: {', '.join(roles)}"])
        raise UserError(f"'{found.name}' has no role '{asked}'", help=ways)
    return asked or roles[0]


def _classify(
    found: Restored, role: str, files: Sequence[Path], order: Order, session: Session
) -> tuple[list[Row], list[str]]:
    """A row for each image, and the names of the files that are none."""
    rows: list[Row] = []
    damaged: list[str] = []
    guess, read = _Guess(found, role), partial(_read, spec=found.specs[role])
    with session.context.track("classifying", len(files)) as bar, ThreadPoolExecutor() as pool:
        for start in range(0, len(files), order.batch_size):
            part = files[start : start + order.batch_size]
            names = [file.relative_to(order.folder).as_posix() for file in part]
            pixels = dict(zip(names, pool.map(read, part), strict=True))
            whole = {name: image for name, image in pixels.items() if image is not None}
            damaged += pixels.keys() - whole.keys()
            rows += guess(whole) if whole else []
            bar.advance(len(part))
    return rows, damaged


def _read(path: Path, spec: ImageSpec) -> np.ndarray | None:
    try:
        return read_picture(path, spec)
    except Exception:  # PIL raises many kinds for a file that is no image
        return None


class _Guess:
    """The model's guess of the class of images that are like those of a role."""

    def __init__(self, found: Restored, role: str) -> None:
        self.found, self.role, self.names = found, role, found.specs[role].classes or ()
        built = (item.build() for item in found.recipe.data[role].transforms)
        self.transforms = [transform for transform in built if not transform.random]

    def __call__(self, images: Mapping[str, np.ndarray]) -> list[Row]:
        pixels = torch.from_numpy(np.stack(list(images.values())))
        with evaluating(self.found.trainer, seed=0):
            logits = self.found.trainer.predict(self._adapted(pixels), self.role)
        sure, guess = logits.float().softmax(1).max(1)
        pairs = zip(images, guess.tolist(), sure.tolist(), strict=True)
        return [(name, self._name(label), f"{share:.4f}") for name, label, share in pairs]

    def _adapted(self, pixels: Tensor) -> Tensor:
        """As the trainer sees them in an evaluation."""
        fabric = self.found.fabric
        layout = torch.channels_last if fabric.choice.channels_last else torch.contiguous_format
        images = to_float(pixels.to(fabric.device, memory_format=layout))
        for transform in self.transforms:
            images = transform(images, torch.Generator(fabric.device).manual_seed(0))
        return images

    def _name(self, label: int) -> str:
        return self.names[label] if label < len(self.names) else str(label)
