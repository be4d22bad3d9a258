"""One table of runs from several folders, as when the variants of a recipe were run on several machines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pluglab.errors import UserError, did_you_mean
from pluglab.protocols import Table
from pluglab.recipe.positions import read_toml
from pluglab.storage.run_folder import RunFolder, runs_below
from pluglab.tables import differing_protocols, summarize


@dataclass(frozen=True)
class FinishedRun:
    """A run with results, and what distinguishes it: `settings` is what it was trained with but the seed,
    and by what its step was picked."""

    path: Path
    title: str
    variant: str
    seed: int
    settings: str
    columns: tuple[str, ...]
    results: dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """The table, and lines that tell columns of one scalar apart."""

    table: Table
    notes: list[str]


def compare_folders(
    folders: Sequence[Path], columns: Sequence[str], say: Callable[[str], None]
) -> Comparison:
    """A row a variant: mean and sample deviation of its finished runs below the folders.

    Runs whose options differ in more than the seed are never averaged: they have a row each; nor are scalars
    of unlike protocols: they have a column each. Of two runs that are alike, seed and all, the newer one
    counts. What is left out is told by `say`. Raises `UserError` where there is nothing to compare.
    """
    runs = _distinct(_finished(folders, say), say)
    labels = _labels(runs)
    _require(columns, runs)
    shown = columns or list(dict.fromkeys(name for run in runs for name in run.columns))
    results = [run.results for run in runs]
    table = summarize([(labels[_group(run)], run.results) for run in runs], shown)
    return Comparison(table, differing_protocols(results, shown))


def _require(columns: Iterable[str], runs: Iterable[FinishedRun]) -> None:
    """Raises `UserError` for a column that no run has."""
    known = sorted({name for run in runs for name in run.results["scalars"]})
    for name in columns:
        if name not in known:
            help = filter(None, [did_you_mean(name, known), f"known: {', '.join(known)}"])
            raise UserError(f"no run has the scalar '{name}'", help=help)


def _finished(folders: Sequence[Path], say: Callable[[str], None]) -> list[FinishedRun]:
    """The runs with results below the folders, by folder and name, which begins with the time."""
    found = runs_below(folders)
    if not found:
        help = ["give folders that `lab run` made, or folders that hold them"]
        raise UserError(f"there is no run in {', '.join(map(str, folders))}", help=help)
    finished, unfinished = [], 0
    for run in found:
        try:
            read = _read(run)
        except UserError as error:
            say(f"left out: {error.message}")
            continue
        unfinished += not read.results
        finished += [read] if read.results else []
    if unfinished:
        say(f"left out: {unfinished} of {len(found)} runs, which have no results yet")
    if not finished:
        raise UserError("no run there has finished", help=["`lab resume RUN` goes on with a run"])
    return finished


def _read(folder: RunFolder) -> FinishedRun:
    state = folder.read()
    recipe = read_toml(folder.recipe).data
    results = folder.results() if state["status"] == "finished" else {}
    columns = tuple(recipe.get("table") or results.get("headline", ()))
    selection = f"{state['settings']} {sorted(recipe.get('select', {}).items())}"
    names = state["recipe"], state["variant"], state["seed"]
    return FinishedRun(folder.path, *names, selection, columns, results)


def _distinct(runs: Iterable[FinishedRun], say: Callable[[str], None]) -> list[FinishedRun]:
    """One run for each seed of a group; the newest, by its results."""
    kept: dict[tuple[str, ...], FinishedRun] = {}
    for run in sorted(runs, key=lambda run: RunFolder(run.path).results_file.stat().st_mtime):
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
