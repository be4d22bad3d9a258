"""What an experiment of several runs says as a whole: its tables, and what its variants drew side by side."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from pluglab.comparison import Comparison, as_markdown, compare, in_one, tables
from pluglab.errors import UserError
from pluglab.experiments.experiment import Experiment
from pluglab.figures import side_by_side
from pluglab.records import read_record
from pluglab.storage.atomic import write_file
from pluglab.storage.run_folder import ExperimentFolder, RunFolder, is_run, write_json


def write_results(experiment: Experiment) -> None:
    """Collect the results of the finished runs of an experiment of several, and draw their pages."""
    if len(experiment.runs) > 1:
        write_tables(experiment.folder, experiment.runs)
        write_gallery(of_one_seed(experiment.named_runs()), ExperimentFolder(experiment.folder).figures)


def write_tables(path: Path, runs: Sequence[RunFolder]) -> None:
    """The results of the runs of the experiment in `path`, as numbers and as a table."""
    folder, comparison = ExperimentFolder(path), _compared(path, runs)
    found = {run.path.name: run.results() for run in runs if is_run(run.path)}
    grids = tables(comparison)
    both = {"table": vars(in_one(grids)), "comparison": comparison.to_dict()}
    write_json(folder.results_file, {"runs": found, **both})
    write_file(folder.table, as_markdown(grids, comparison.notes).encode())


def comparison_of(experiment: Experiment) -> Comparison:
    """The variants beside one another, by the scalars of the recipe's own table."""
    return _compared(experiment.folder, experiment.runs)


def _compared(folder: Path, runs: Sequence[RunFolder]) -> Comparison:
    """What of the runs can be read; of one that cannot, as its folder is gone or damaged, it is said."""
    records = []
    for run in runs:
        try:
            records.append(read_record(run.path, folder))
        except UserError as error:
            _warn(f"{run.path} is left out: {error.message}")
    return compare(records, _warn)


def _warn(words: str) -> None:
    warnings.warn(words, stacklevel=3)


def of_one_seed(runs: Sequence[tuple[str, RunFolder]]) -> dict[str, RunFolder]:
    """The first finished run of each variant, by its name."""
    chosen: dict[str, RunFolder] = {}
    for title, run in runs:
        if run.results():
            chosen.setdefault(title, run)
    return chosen


def write_gallery(runs: Mapping[str, RunFolder], folder: Path) -> list[Path]:
    """A page for each still picture that several runs have in common, under its name in `folder`.

    `runs` holds a run for each title. Returns the pages, none for fewer than two runs.
    """
    figures = {title: run.reported_figures() for title, run in runs.items()}
    names = dict.fromkeys(name for found in figures.values() for name in found if name.endswith(".png"))
    pages = []
    for name in names:
        drawn = {title: found[name] for title, found in figures.items() if name in found}
        if len(drawn) > 1:
            folder.mkdir(parents=True, exist_ok=True)
            side_by_side(drawn, among=figures).save(folder / name)
            pages.append(folder / name)
    return pages
