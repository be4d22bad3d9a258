"""What `lab sample` does."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pluglab.errors import UserError
from pluglab.experiments.experiment import Session
from pluglab.figures import PngFolder, save_picture, sheet
from pluglab.protocols import Samples
from pluglab.recipe.layers import read_override
from pluglab.recipe.positions import TomlSource, parse_toml
from pluglab.sampling import asked_for, classes_of, drawn, set_options
from pluglab.storage.atomic import write_file
from pluglab.trained import Restored, restore

LABELS = "labels.csv"
OURS = re.compile(r"\d{5,}\.png|" + re.escape(LABELS))
SHOWN, COLUMNS = 100, 10  # images of the grid


@dataclass(frozen=True)
class Order:
    """What is wanted: `number` images in the folder `out`."""

    out: Path
    number: int
    labels: str | None
    seed: int
    batch_size: int
    grid: Path | None
    overwrite: bool


def changes(flags: Mapping[str, Any], sets: Sequence[str]) -> list[TomlSource]:
    """The options of sampling that were given, as flags of their own or by `--set`."""
    given = {key: value for key, value in flags.items() if value is not None}
    named = [parse_toml(f"{key} = {json.dumps(value)}", f"--{key} {value}") for key, value in given.items()]
    return [*named, *map(read_override, sets)]


def sample(
    run: Path, order: Order, changes: Sequence[TomlSource], step: int | None, session: Session
) -> None:
    """Raises `UserError` for what cannot be asked of the model; no image has been made by then."""
    check_free(order.out, order.overwrite)
    found = restore(run, Samples, session, step)
    set_options(found.trainer, found.name, changes, session.plugins.registry)
    names = _class_names(found)
    labels = asked_for(order.labels, order.number, names)
    began = time.perf_counter()
    _draw(found, order, labels, names, session)
    seconds = time.perf_counter() - began
    print(f"{order.number:,} images in {seconds:.1f} s, {order.number / seconds:,.1f} images/s: {order.out}")


def check_free(out: Path, overwrite: bool) -> None:
    """Raises `UserError` for a folder that holds something, or a file in its place."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is not a folder")
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        help = ["name another folder, or give --overwrite to replace the images in it"]
        raise UserError(f"{out} is not empty", help=help)


def _class_names(found: Restored) -> tuple[str, ...]:
    """The names of the classes that can be asked for; their numbers where the data has no names."""
    count = classes_of(found.trainer)
    known = (spec.classes for spec in found.specs.values() if spec.classes and spec.num_classes == count)
    return next(known, tuple(map(str, range(count))))


def _draw(
    found: Restored, order: Order, labels: Tensor | None, names: Sequence[str], session: Session
) -> None:
    digits = max(5, len(str(order.number - 1)))
    files = [f"{i:0{digits}d}.png" for i in range(order.number)]
    done, first = 0, []
    batches = drawn(found.trainer, order.number, labels, order.seed, order.batch_size, found.fabric.device)
    with session.context.track("sampling", order.number) as bar, PngFolder(order.out) as folder:
        for images in batches:
            if done == 0:
                _clear(order.out)
            folder.write(files[done : done + len(images)], images)
            first += [images] if done < SHOWN else []
            done += len(images)
            bar.advance(len(images))
    if labels is not None:
        write_table(
            order.out / LABELS, ("name", "label"), zip(files, (names[i] for i in labels), strict=True)
        )
    if order.grid is not None:
        save_picture(sheet(torch.cat(first)[:SHOWN], COLUMNS), order.grid.with_suffix(""))


def _clear(folder: Path) -> None:
    """Take away what an earlier call has written; other files stay."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if OURS.fullmatch(path.name):
            path.unlink()


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A CSV file, all or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_file(path, text.getvalue().encode())
