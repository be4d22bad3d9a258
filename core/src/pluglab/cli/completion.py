"""What a shell offers for an argument; nothing here imports more than a listing does."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import typer

from pluglab.plugins.loading import load_plugins
from pluglab.plugins.registry import plural

LISTS = ("plugins", "recipes", "runs", "kinds")


def runs(incomplete: str) -> list[str]:
    """Folders of runs below the usual one, the newest first; for any other place the shell offers files."""
    from pluglab.storage.run_folder import find_runs

    found = find_runs(Path(os.environ.get("LAB_RUN_DIR", "runs")))
    return _fitting(map(str, reversed(found)), incomplete)


def lists(incomplete: str) -> list[str]:
    """What `lab list` lists."""
    return _fitting([*LISTS, *map(plural, _kinds())], incomplete)


def shown(incomplete: str) -> list[str]:
    """What `lab show` shows."""
    return _fitting(["recipe", *_kinds()], incomplete)


def names(context: typer.Context, incomplete: str) -> list[str]:
    """Names of the components of the kind that stands before."""
    return _fitting(load_plugins().registry.names(str(context.params.get("kind", ""))), incomplete)


def trainers(incomplete: str) -> list[str]:
    """Names of trainers."""
    return _fitting(load_plugins().registry.names("trainer"), incomplete)


def _kinds() -> list[str]:
    return [kind.name for kind in load_plugins().registry.kinds()]


def _fitting(words: Iterable[str], incomplete: str) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]
