"""What `lab run`, `lab resume` and `lab evaluate` do."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from pluglab.cli.output import cache_folder, echo, print_json, print_table
from pluglab.engine.hardware import choose
from pluglab.errors import RunError, UserError
from pluglab.experiments import experiment as experiments
from pluglab.experiments.experiment import Experiment, Session
from pluglab.experiments.summary import reported_figures
from pluglab.launchers.processes import execute_together, settled_jobs
from pluglab.observers.console import progress_bar
from pluglab.plugins.loading import Plugins, load_plugins
from pluglab.protocols import DataContext
from pluglab.recipe.recipe import load_recipe
from pluglab.storage.run_folder import RESULTS, read_json, run_folders


def session(plugins: Plugins, data_root: Path | None, files: Sequence[Path]) -> Session:
    """Raises `UserError` for a data root that is not there."""
    if data_root is not None and not data_root.is_dir():
        help = ["give the folder that holds MNIST/, USPS/, SVHN/, ..., or leave it out for embedded data"]
        raise UserError(f"the data root {data_root} is not a folder", help=help)
    context = DataContext(data_root, cache_folder(), progress_bar)
    return Session(plugins, context, echo, tuple(files))


def run(
    path: Path,
    sets: Sequence[str],
    variants: Sequence[str],
    run_dir: Path,
    session: Session,
    *,
    resume: bool,
    dry_run: bool,
    jobs: int | None,
) -> None:
    file = load_recipe(path, sets)
    recipes = file.resolve_all(session.plugins.registry, variants)
    if dry_run:
        prepared = experiments.prepare(recipes, session)
        experiments.prepare_evaluators(prepared)
        _show_plan(prepared)
        return
    unfinished = experiments.find_unfinished(run_dir, recipes) if resume else None
    if unfinished is not None:
        experiment = experiments.reopen(unfinished, session)
    else:
        experiment = experiments.start(file, recipes, run_dir, session)
    session.say(f"run folder: {experiment.folder}")
    _execute(experiment, session, jobs)


def _show_plan(prepared: Sequence[experiments.Prepared]) -> None:
    rows = []
    for item in prepared:
        recipe, material = item.recipe, item.material
        data = ", ".join(f"{role}: {d.dataset.name}" for role, d in recipe.data.items())
        trainer = recipe.options.trainer.name
        rows.append([recipe.variant or recipe.title, recipe.seed, trainer, material.total_steps(), data])
    print_table(["run", "seed", "trainer", "steps", "data"], rows)
    print(f"machine: {choose(prepared[0].recipe.options.run).summary()}")
    print("The recipe is good; nothing was run.")


def recorded(folder: Path, data_root: Path | None, files: Sequence[Path], plugins: Plugins) -> Session:
    """A session with the data root and the plugin files that the run was started with, unless given anew."""
    runs = run_folders(folder)
    facts = read_json(runs[0].path / "run.json")
    root = data_root or (Path(facts["data_root"]) if facts.get("data_root") else None)
    again = [*files] or [Path(name) for name in facts.get("plugin_files", [])]
    return session(load_plugins(again) if again and not files else plugins, root, again)


def resume(
    folder: Path, data_root: Path | None, files: Sequence[Path], plugins: Plugins, *, jobs: int | None
) -> None:
    current = recorded(folder, data_root, files, plugins)
    _execute(experiments.reopen(folder, current), current, jobs)


def _execute(experiment: Experiment, session: Session, jobs: int | None) -> None:
    """Run what is left, several at a time where that was asked for, now or when the experiment began."""
    if (jobs := settled_jobs(experiment, jobs)) > 1:
        execute_together(experiment, session, jobs)
    else:
        experiments.execute(experiment, session)
    if session.leads:
        _report(experiment)
    if experiment.failures:
        label, error = experiment.failures[0]
        others = [f"failed too: {name}: {e.message}" for name, e in experiment.failures[1:]]
        resume = f"`lab resume {shlex.quote(str(experiment.folder))}` tries again from the last checkpoint"
        help = [*error.help, *others, resume]
        raise RunError(f"{label}: {error.message}", help=help, where=error.where) from error


def _report(experiment: Experiment) -> None:
    """The table of the results, and where to look further."""
    table = experiments.results_table(experiment)
    if len(table.columns) > 1:
        print_table(table.columns, table.rows, title=experiment.title)
    _show_pictures(experiment)
    if (experiment.folder / RESULTS).is_file():
        print(f"results: {experiment.folder / RESULTS}")
    print(f"curves:  tensorboard --logdir {shlex.quote(str(experiment.folder))}")


def _show_pictures(experiment: Experiment) -> None:
    """Where the pictures are: of several runs those that show them side by side, and the folders of each."""
    shared = sorted((experiment.folder / "figures").glob("*.png")) if len(experiment.runs) > 1 else []
    own = [reported_figures(run) for run in experiment.runs]
    names = {path.name for path in shared}
    pictures = [*shared, *(path for found in own for name, path in found.items() if name not in names)]
    if pictures:
        print("pictures:")
    for path in pictures:
        print(f"  {path}")
    if shared:
        print(f"  each by itself: {experiment.folder}/*/figures/")


def evaluate(
    folder: Path,
    step: int | None,
    data_root: Path | None,
    files: Sequence[Path],
    plugins: Plugins,
    *,
    as_json: bool,
) -> None:
    current = recorded(folder, data_root, files, plugins)
    experiment = experiments.reopen(folder, current)
    found = experiments.evaluate_again(experiment, current, step)
    if as_json:
        print_json(found)
        return
    rows = [[name, key, f"{value:.4f}"] for name, scalars in found.items() for key, value in scalars.items()]
    print_table(["run", "scalar", "value"], rows)
