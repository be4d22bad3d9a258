"""One table of runs from several folders, as when the variants of a recipe were run on several machines."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pluglab.errors import UserError, did_you_mean
from pluglab.protocols import Table
from pluglab.storage.run_folder import RECIPE, RUN, RunFolder
from pluglab.tables import compare

# What may differ between two runs whose figures are averaged: the seed, names, the machine and logging.
_INCIDENTAL = ("seeds", "title", "variants", "table", "log_every", "checkpoint_every", "run")


@dataclass(frozen=True)
class FinishedRun:
    """A run with results, and what distinguishes it."""

    path: Path
    title: str
    variant: str
    seed: int
    settings: str
    columns: tuple[str, ...]
    results: dict[str, Any]


def compare_folders(folders: Sequence[Path], columns: Sequence[str], say: Callable[[str], None]) -> Table:
    """A row a variant: mean and sample deviation of its finished runs below the folders.

    Runs whose options differ in more than the seed are never averaged: they have a row each. Of two runs
    that are alike, seed and all, the newer one counts. Both, and runs without results, are told by `say`.
    Raises `UserError` where there is nothing to compare.
    """
    runs = _distinct(_finished(folders, say), say)
    labels = _labels(runs)
    _require(columns, runs)
    shown = columns or list(dict.fromkeys(name for run in runs for name in run.columns))
    return compare([(labels[_group(run)], run.results) for run in runs], shown)


def _require(columns: Iterable[str], runs: Iterable[FinishedRun]) -> None:
    """Raises `UserError` for a column that no run has."""
    known = sorted({name for run in runs for name in run.results["scalars"]})
    for name in columns:
        if name not in known:
            help = filter(None, [did_you_mean(name, known), f"known: {', '.join(known)}"])
            raise UserError(f"no run has the scalar '{name}'", help=help)


def _finished(folders: Sequence[Path], say: Callable[[str], None]) -> list[FinishedRun]:
    """The runs with results below the folders, by folder and name, which begins with the time."""
    found = [path for folder in folders for path in sorted(folder.rglob(RUN))]
    if not found:
        help = ["give folders that `lab run` made, or folders that hold them"]
        raise UserError(f"there is no run in {', '.join(map(str, folders))}", help=help)
    runs = [_read(RunFolder(path.parent)) for path in dict.fromkeys(found)]
    finished = [run for run in runs if run.results]
    if left_out := len(runs) - len(finished):
        say(f"left out: {left_out} of {len(runs)} runs, which have no results yet")
    if not finished:
        raise UserError("no run there has finished", help=["`lab resume RUN` goes on with a run"])
    return finished


def _read(folder: RunFolder) -> FinishedRun:
    state = folder.read()
    recipe = tomllib.loads((folder.path / RECIPE).read_text())
    settings = json.dumps(
        {k: v for k, v in recipe.items() if k not in _INCIDENTAL}, sort_keys=True, default=str
    )
    results = folder.results() if state["status"] == "finished" else {}
    columns = tuple(recipe.get("table") or results.get("headline", ()))
    return FinishedRun(
        folder.path, state["recipe"], state["variant"], state["seed"], settings, columns, results
    )


def _distinct(runs: Iterable[FinishedRun], say: Callable[[str], None]) -> list[FinishedRun]:
    """One run for each seed of a group; the newest, by its results."""
    kept: dict[tuple[str, ...], FinishedRun] = {}
    for run in sorted(runs, key=lambda run: (run.path / RUN).stat().st_mtime):
        key = (*_group(run), str(run.seed))
        if key in kept:
            say(f"left out: {kept[key].path}, which {run.path} repeats")
        kept[key] = run
    return sorted(kept.values(), key=lambda run: str(run.path))


def _group(run: FinishedRun) -> tuple[str, str, str]:
    return run.title, run.variant, run.settings


def _labels(runs: Sequence[FinishedRun]) -> dict[tuple[str, str, str], str]:
    """A name for each group: its variant, with the recipe's title and a number only where needed."""
    groups = list(dict.fromkeys(map(_group, runs)))
    labels: dict[tuple[str, str, str], str] = {}
    for group in groups:
        title, variant, _ = group
        long = f"{title}, {variant}" if variant else title
        same_title = [other for other in groups if other[:2] == group[:2]]
        number = f" ({same_title.index(group) + 1})" if len(same_title) > 1 else ""
        clash = any(other[1] == variant and other[0] != title for other in groups)
        labels[group] = (long if clash else variant or title) + number
    return labels
