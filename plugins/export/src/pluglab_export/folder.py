"""A folder that is filled aside, and takes its place when all of it is there."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pluglab import RunError, UserError

CONFIG, CARD = "config.json", "README.md"
MAKER = "pluglab-export"


def check_free(out: Path, overwrite: bool) -> None:
    """Raises `UserError` for a place that is taken, and that `overwrite` does not give away."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is not a folder", help=["name another place with --out"])
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not overwrite:
        help = ["name another folder, or give --overwrite to replace an earlier export in it"]
        raise UserError(f"{out} is not empty", help=help)
    if not _ours(out):
        help = ["--overwrite replaces an earlier export, and there is none: name another folder"]
        raise UserError(f"{out} holds files that no export has written", help=help)


@contextmanager
def filled(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out` to write into. What is in it is in `out` at the end.

    After an error nothing has changed. Files of others in `out` stay. Raises `RunError` where one cannot
    write.
    """
    out = out.resolve()
    unfinished = out.parent / f".{out.name}-{uuid.uuid4().hex[:8]}"
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        _put(unfinished, out)
    except OSError as error:
        raise RunError(f"{out} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _put(unfinished: Path, out: Path) -> None:
    if not out.exists():
        unfinished.rename(out)
        return
    new = sorted(unfinished.iterdir(), key=lambda path: path.name == CONFIG)  # what lists the others, last
    for name in _ours(out) - {path.name for path in new}:
        (out / name).unlink(missing_ok=True)
    for path in new:
        path.replace(out / path.name)


def _ours(out: Path) -> set[str]:
    """The names of the files that an earlier export has written."""
    try:
        config: Any = json.loads((out / CONFIG).read_text(encoding="utf-8"))
        by_us = config["made_by"].startswith(MAKER)
        return {CONFIG, CARD, *(Path(name).name for name in config["files"])} if by_us else set()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()
