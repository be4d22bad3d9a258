"""`lab sweep`: its declaration, and what it says."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pluglab.cli.output import echo, print_table
from pluglab.cli.parameters import DataRoot, Launcher, PluginFiles, RunDir, Sets, Variants, with_launcher

if TYPE_CHECKING:
    from pluglab.experiments.growing import Growing
    from pluglab_sweep.search import Search
    from pluglab_sweep.summary import Summary

EPILOG = """
A recipe says in a table what varies and what counts:

    [sweep]
    trials = 20
    sampler = "tpe"
    pruner = "median"
    objectives = [{ metric = "accuracy/source", mode = "max" }]

    [sweep.parameters]
    "trainer.optimizer.lr" = { low = 1e-4, high = 1e-2, log = true }
    "trainer.encoder" = ["lenet", "dann_i"]

Examples:

- `lab sweep recipes/sweep_digits.toml --dry-run` checks all that, and runs nothing
- `lab sweep recipes/sweep_digits.toml --workers 2`
- `lab sweep runs/sweep_digits/20261121-093000-a1b2` goes on with a sweep that was stopped
- `lab sweep runs/sweep_digits/20261121-093000-a1b2 --set sweep.trials=40` makes more trials
- `lab sweep RECIPE --launcher ray` trains on a cluster
- `lab sweep RECIPE --set sweep.storage=postgresql+psycopg://me@host/sweeps`, on each of several machines

Ctrl-C saves every run that is under way. `lab show recipe_table sweep` lists all that [sweep] may say,
`lab list sweep_samplers` and `lab list sweep_pruners` what there is, `lab show sweep_sampler tpe` the options
of one.
"""
Recipe = Annotated[
    Path,
    typer.Argument(
        metavar="RECIPE|FOLDER",
        help="A recipe with a table [sweep], or the folder of a sweep to go on with.",
        show_default=False,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        min=1,
        help="How many trials to train at the same time on this machine, each in a process of its own.",
        show_default=False,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", metavar="", help="Check everything and run nothing.")]
SHOWN = 10  # trials in the table at the end


def add(app: typer.Typer) -> None:
    @app.command(epilog=EPILOG)
    def sweep(
        recipe: Recipe,
        sets: Sets = [],  # noqa: B006
        variant: Variants = [],  # noqa: B006
        workers: Workers = None,
        launcher: Launcher = None,
        run_dir: RunDir = Path("runs"),
        data_root: DataRoot = None,
        dry_run: DryRun = False,
        plugin: PluginFiles = [],  # noqa: B006
    ) -> None:
        """Search values of a recipe that score well, by Optuna; every trial is an ordinary run.

        The trials are the runs of one experiment: `lab compare`, `lab report` and `lab resume` know them. The
        folder also holds sweep.json, the study, and pictures of what was found.
        """
        given = with_launcher(sets, launcher, workers)
        _sweep(recipe, given, variant, run_dir, data_root, plugin, dry_run=dry_run)


def _sweep(
    recipe: Path,
    sets: Sequence[str],
    variants: Sequence[str],
    run_dir: Path,
    data_root: Path | None,
    plugins: Sequence[Path],
    *,
    dry_run: bool,
) -> None:
    from pluglab.experiments.growing import begin, take_up
    from pluglab_sweep.search import Search

    again = recipe.is_dir()
    if again:
        growing = take_up(recipe, "sweep", sets=sets, data_root=data_root, plugins=plugins, say=echo)
    else:
        growing = begin(
            recipe, "sweep", sets=sets, variants=variants, data_root=data_root, plugins=plugins, say=echo
        )
    search = Search(growing, echo)
    search.check()
    if dry_run:
        _show_plan(search)
        return
    if search.sweep.config.storage:
        search.join()
    if not again:
        growing.claim(run_dir, "sweep")
    echo(f"sweep folder: {growing.folder}")
    with growing.held():
        _search(search, growing)


def _show_plan(search: Search) -> None:
    objectives = [f"{one.metric} ({one.mode})" for one in search.objectives]
    print_table(["parameter", "values"], [[key, one.words()] for key, one in search.sweep.parameters.items()])
    config = search.sweep.config
    pruner = f", pruner {config.pruner.name}" if config.pruner else ""
    print(f"{search.trials} trials for {', '.join(objectives)}; sampler {config.sampler.name}{pruner}")
    print("The sweep is good; nothing was run.")


def _search(search: Search, growing: Growing) -> None:
    """Until there are as many trials as there are to be. Raises `RunError` where none has come to its end."""
    from pluglab.errors import InterruptedRunError
    from pluglab_sweep.summary import write_summary

    search.on_end = lambda: write_summary(search)
    again = f"lab sweep {shlex.quote(str(growing.folder))}"
    try:
        failures = growing.launcher.launch(search.jobs(), growing.session.log)
    except InterruptedRunError as error:
        error.help = (f"go on with: {again}",)
        raise
    finally:
        summary = _written(search, growing)
    _report(summary, growing)
    _complain(search, summary, failures, again)


def _written(search: Search, growing: Growing) -> Summary:
    from pluglab_sweep.pictures import write_pictures
    from pluglab_sweep.summary import write_summary

    summary = write_summary(search)
    growing.write_tables()
    write_pictures(summary, growing.folder / "figures")
    return summary


def _report(summary: Summary, growing: Growing) -> None:
    from pluglab_sweep.summary import counts, folders_of, table_of

    table = table_of(summary, SHOWN)
    print_table(table.columns, table.rows, growing.recipe.title)
    print(counts(summary))
    for number, folder in folders_of(summary, growing.folder):
        print(f"best:    trial {number}, lab run {shlex.quote(str(folder / 'recipe.toml'))} repeats it")
    print(f"results: {growing.folder}")
    print(f"page:    lab report {shlex.quote(str(growing.folder))}")


def _complain(search: Search, summary: Summary, failures: Mapping[str, Exception], again: str) -> None:
    """A trial that fails has its place in a search; that none succeeds, or some are left, is told."""
    from pluglab.errors import RunError

    left = [f"trial {number}: {why}" for number, why in search.unfinished.items()]
    if left:
        raise RunError(f"{len(left)} trials have not come to their end", help=[*left, f"go on with: {again}"])
    states = {trial["state"] for trial in summary["trials"]}
    if states == {"failed"}:
        why = summary["trials"][0]["why"] or next((str(one) for one in failures.values()), "")
        raise RunError("every trial has failed", help=[f"the first: {why}"])
