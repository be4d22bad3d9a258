"""`lab run`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pluglab.cli import garbage
from pluglab.cli.invoked import as_invoked
from pluglab.cli.output import echo, print_table
from pluglab.cli.parameters import (
    DataRoot,
    Jobs,
    Launcher,
    Note,
    PluginFiles,
    RecipePath,
    RunDir,
    Sets,
    Tagged,
    Variants,
    plugins_with,
    with_launcher,
)
from pluglab.plugins.loading import Plugins

if TYPE_CHECKING:
    from pluglab.experiments.experiment import Experiment
    from pluglab.experiments.prepare import Prepared
    from pluglab.experiments.session import Session

EPILOG = """
Examples:

- `lab run recipes/dann_digits.toml --dry-run` checks recipe, data and networks, and runs nothing
- `lab run recipes/dann_digits.toml --set steps=100 --set trainer.optimizer.lr=3e-4`
- `lab run recipes/dann_digits.toml --variant DANN --set "seeds=[0,1,2]"`
- `lab run recipes/dann_digits.toml --jobs 2` trains two of its runs at a time
- `lab run recipes/matrix.toml --launcher ray` trains on the machines of a Ray cluster
- `lab run mine.toml --init runs/yours/20261121-093000-a1b2` starts from the weights of another run
- `lab run mine.toml --plugin my_method.py`

`lab show trainer NAME` lists what --set trainer.OPTION can change; `lab show recipe RECIPE` what a run gets.
"""
Resume = Annotated[
    bool,
    typer.Option("--resume", metavar="", help="Go on with the newest unfinished run of this recipe, if any."),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        metavar="",
        help="Check everything and run nothing. Only the cache is filled: data, and scoring classifiers.",
    ),
]
Init = Annotated[
    str | None,
    typer.Option(
        "--init",
        metavar="RUN[@STEP]|FILE",
        help="Start from the weights of another run, or of a file (.pt, .safetensors), as far as they fit by "
        "name and shape: fine-tuning. What was taken is printed and recorded.",
        show_default=False,
    ),
]


def add(app: typer.Typer, plugins: Plugins) -> None:
    @app.command(epilog=EPILOG)
    def run(
        recipe: RecipePath,
        sets: Sets = [],  # noqa: B006
        variant: Variants = [],  # noqa: B006
        init: Init = None,
        run_dir: RunDir = Path("runs"),
        data_root: DataRoot = None,
        resume: Resume = False,
        dry_run: DryRun = False,
        jobs: Jobs = None,
        launcher: Launcher = None,
        tag: Tagged = [],  # noqa: B006
        note: Note = None,
        plugin: PluginFiles = [],  # noqa: B006
    ) -> None:
        """Train, evaluate and log what a recipe says.

        Every variant and seed becomes a run folder with checkpoints, figures, metrics.jsonl, TensorBoard
        events and the resolved recipe. Ctrl-C saves and stops; `lab resume` goes on.
        """
        from pluglab.cli.tag import check_tag
        from pluglab.experiments.session import new_session

        for word in tag:
            check_tag(word)
        session = new_session(plugins_with(plugins, plugin), data_root, echo)
        given = with_launcher(sets, launcher, jobs) + ([f"init={init!r}"] if init else [])
        if dry_run:
            _check(recipe, given, variant, session)
        else:
            experiment = _started(recipe, given, variant, run_dir, session, resume=resume)
            _tag(experiment, session, tag, note)
            carry_out(experiment, session)


def _check(path: Path, sets: Sequence[str], variants: Sequence[str], session: Session) -> None:
    from pluglab.experiments.prepare import prepare
    from pluglab.recipe.recipe import load_recipe

    recipes = load_recipe(path, sets).resolve_all(session.plugins.registry, variants)
    _show_plan(prepare(recipes, session))


def _show_plan(prepared: Sequence[Prepared]) -> None:
    from pluglab.engine.hardware import resolve_hardware

    rows = []
    for item in prepared:
        recipe = item.recipe
        data = ", ".join(f"{role}: {source.dataset.name}" for role, source in recipe.data.items())
        trainer = recipe.options.trainer.name
        rows.append([recipe.variant or recipe.title, recipe.seed, trainer, item.data.total_steps(), data])
    print_table(["run", "seed", "trainer", "steps", "data"], rows)
    print(f"machine: {resolve_hardware(prepared[0].recipe.options.run).summary()}")
    print("The recipe is good; nothing was run.")


def _started(
    path: Path,
    sets: Sequence[str],
    variants: Sequence[str],
    run_dir: Path,
    session: Session,
    *,
    resume: bool,
) -> Experiment:
    from pluglab.experiments.experiment import find_unfinished, start, take_up
    from pluglab.experiments.prepare import prepare
    from pluglab.recipe.recipe import load_recipe

    file = load_recipe(path, sets)
    recipes = file.resolve_all(session.plugins.registry, variants)
    unfinished = find_unfinished(run_dir, prepare(recipes, session)) if resume else None
    if unfinished is not None:
        experiment = take_up(unfinished, recipes, session)
    else:
        experiment = start(file, recipes, run_dir, session)
    session.log(f"run folder: {experiment.folder}")
    return experiment


def _tag(experiment: Experiment, session: Session, tags: Sequence[str], note: str | None) -> None:
    for run in experiment.runs if session.is_main_process else ():
        if tags or note is not None:
            run.write_tags(run.tags().changed(add=tags, note=note))


def carry_out(experiment: Experiment, session: Session) -> None:
    """Run what is left of an experiment, and report. Raises `RunError` where a run failed."""
    from pluglab.errors import RunError
    from pluglab.experiments.execute import execute
    from pluglab.storage.failures import after
    from pluglab.storage.run_folder import resuming

    garbage.imported()
    execute(experiment, session)
    label, error = next(iter(experiment.failures.items()), ("", None))
    if session.is_main_process:
        with after(error):
            _report(experiment, session)
    if error is not None:
        others = [f"failed too: {n}: {e.message}" for n, e in experiment.failures.items() if n != label]
        help = [*error.help, *others]
        with after(error):
            help.append(f"`{resuming(experiment.folder)}` tries again from the last checkpoint")
        raise RunError(f"{label}: {error.message}", help=help, where=error.where) from error


def _report(experiment: Experiment, session: Session) -> None:
    """The table of the results, and where everything is."""
    from pluglab.cli.compare import print_comparison
    from pluglab.experiments.summary import comparison_of

    comparison = comparison_of(experiment)
    if comparison.columns:
        print_comparison(comparison, experiment.title)
    folder = shlex.quote(str(experiment.folder))
    print(f"results: {experiment.folder}")
    if any((plugin.name, plugin.status) == ("report", "ok") for plugin in session.plugins.reports):
        print(as_invoked(f"page:    lab report {folder}"))
    print(as_invoked(f"curves:  tensorboard --logdir {folder}"))
