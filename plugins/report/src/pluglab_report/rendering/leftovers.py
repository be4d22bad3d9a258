"""What an earlier report wrote and the new one has not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from pluglab.storage.atomic import write_file
from pluglab_report.chapters import is_inside, read_json

WRITTEN = ".written.json"


def tidy(out: Path, written: Iterable[Path], other_pages: Iterable[Path]) -> None:
    """Remove files that an earlier report wrote, and remember those that are `written` now.

    What was changed since stays, and what one of the `other_pages` shows, which are of an earlier report.
    """
    now = {path.relative_to(out).as_posix(): _digest(path) for path in written}
    pages = "".join(page.read_text(encoding="utf-8") for page in other_pages if page.is_file())
    before = {name: hash for name, hash in (read_json(out / WRITTEN) or {}).items() if name not in now}
    kept = {
        name: hash for name, hash in before.items() if f"{Path(name).with_suffix('').as_posix()}." in pages
    }
    for name in before.keys() - kept.keys():
        if is_inside(out / name, out) and (out / name).is_file() and _digest(out / name) == before[name]:
            (out / name).unlink()
    write_file(out / WRITTEN, f"{json.dumps({**kept, **now}, indent=1)}\n".encode())


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
