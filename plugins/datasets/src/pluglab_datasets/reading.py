"""Words for what goes wrong with files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pluglab.errors import UserError


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """A file that is damaged or of another format is a `UserError`.

    The parsers of damaged archives raise nearly anything, so nearly anything is caught.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{path} cannot be read: {error or type(error).__name__}", help=["get it again"]
        ) from error


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """A full disk or a cache that cannot be written to is a `UserError`."""
    try:
        yield
    except OSError as error:
        way = "free some space, or set another cache folder; a download goes on where it stopped"
        raise UserError(f"cannot write {target}: {error.strerror or error}", help=[way]) from error
