"""A disk without space, at any operation on a file or of any size: saved, told, and gone on with."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

from tests.faults.processes import Operations, ended, forked
from tests.faults.victims import Found, Victims


def no_space() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fill(victims: Victims, count: int) -> Found:
    """From a random operation on, nothing can be opened for writing any more."""
    found = Found()
    for number in range(count):
        place = victims.folder(f"full/{number}")
        found.runs += 1
        at = victims.chance.randint(1, victims.operations)
        full = Operations(place, at, no_space, lasting=True)
        code = ended(forked(victims.words(place), place, full.install))
        _check(victims, place, found, code)
    return found


def shrink(victims: Victims, count: int) -> Found:
    """File systems of random sizes, which only an administrator can make."""
    found = Found()
    for number in range(count):
        place = victims.folder(f"small/{number}")
        size = victims.chance.randint(8, 3000)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "lab", place]).returncode:
            found.sorts["cannot be mounted here"] += 1
            return found
        try:
            found.runs += 1
            code = ended(forked(victims.words(place), place))
            subprocess.run(["mount", "-o", "remount,size=64m", place], check=True)
            _check(victims, place, found, code)
        finally:
            subprocess.run(["umount", place], check=True)
    return found


def _check(victims: Victims, place: Path, found: Found, code: int) -> None:
    said = (place / "log").read_text(errors="replace")
    found.sorts[f"exit code {code}"] += 1
    if code not in (0, 1, 2):
        found.wrong.append(f"{place}: exit code {code}")
    if "Traceback" in said:
        found.wrong.append(f"{place}: a traceback")
    if code and "no space left" not in said.lower() and said:
        found.wrong.append(f"{place}: not told why")
    victims.finish(place, found)
