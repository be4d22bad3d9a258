"""What an experiment of several runs says as a whole: its table, and what its variants drew side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pluglab.experiments.experiment import Experiment
from pluglab.figures import side_by_side
from pluglab.protocols import Table
from pluglab.storage.atomic import write_file
from pluglab.storage.run_folder import ExperimentFolder, RunFolder, write_json
from pluglab.tables import differing_protocols, markdown, summarize


def write_results(experiment: Experiment) -> None:
    """Collect the results of the finished runs of an experiment of several, and draw their pages."""
    if len(experiment.runs) > 1:
        folder, table = ExperimentFolder(experiment.folder), results_table(experiment)
        found = {run.path.name: run.results() for run in experiment.runs}
        write_json(folder.results_file, {"runs": found, "table": vars(table)})
        notes = "".join(f"\n{line}\n" for line in protocol_notes(experiment))
        write_file(folder.table, (markdown(table) + notes).encode())
        write_gallery(of_one_seed(experiment.named_runs()), folder.figures)


def results_table(experiment: Experiment) -> Table:
    """A row a variant, a column a scalar under one protocol; see `tables.summarize`."""
    rows = [(name, run.results()) for name, run in experiment.named_runs()]
    return summarize(rows, experiment.prepared[0].recipe.options.table)


def protocol_notes(experiment: Experiment) -> list[str]:
    """What tells columns of one scalar apart."""
    results = [run.results() for run in experiment.runs]
    return differing_protocols(results, experiment.prepared[0].recipe.options.table)


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
            side_by_side(drawn).save(folder / name)
            pages.append(folder / name)
    return pages
