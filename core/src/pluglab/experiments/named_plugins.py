"""Which plugin files run: those that the person has named on this machine, as they were then.

A run folder is data, which a stranger may have made, and a plugin file is a program.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from pluglab.errors import UserError
from pluglab.plugins.loading import is_trusting

LIST = "named_plugins.txt"  # below the cache folder; a hash and a path a line


def plugin_files(files: Sequence[Path]) -> dict[str, str]:
    """The hash of each plugin file, by its path."""
    return {str(file.resolve()): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def remember(files: Sequence[Path], cache: Path) -> None:
    """Keep in mind that the person has named these files. What is only trusted is not named."""
    new = [] if is_trusting() else [line for line in _lines(files) if line not in _known(cache)]
    if new:
        with suppress(OSError):  # a cache that cannot be written to: then they have to be named again
            cache.mkdir(parents=True, exist_ok=True)
            with (cache / LIST).open("a", encoding="utf-8") as file:
                file.write("".join(f"{line}\n" for line in new))


def recorded_files(names: Iterable[str], folder: Path, cache: Path) -> list[Path]:
    """The plugin files that the record of the run in `folder` names. Raises `UserError` for one that has
    never been named as it is, unless the person trusts the run, and for any with a relative path."""
    files = [Path(name) for name in names]
    if any(not file.is_absolute() for file in files):
        raise UserError(
            f"{folder} names plugin files by relative paths, which `lab run` never does",
            help=["name those that you know: --plugin FILE"],
        )
    there = [file for file in files if file.is_file()]  # of one that is gone, loading tells
    if not is_trusting() and not set(_lines(there)) <= _known(cache):
        named = " ".join(f"--plugin {shlex.quote(str(file))}" for file in files)
        raise UserError(
            f"{folder} names a plugin file that you have not named yet as it is; it is a program",
            help=[f"if you know it, name it: {named}", "--trust runs whatever the run's record names"],
        )
    return files


def _lines(files: Sequence[Path]) -> list[str]:
    return [f"{digest} {path}" for path, digest in plugin_files(files).items()]


def _known(cache: Path) -> set[str]:
    named = cache / LIST
    return set(named.read_text("utf-8").splitlines()) if named.is_file() else set()
