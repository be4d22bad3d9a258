"""`lab clean`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from pluglab.cli import completion
from pluglab.cli.output import echo, print_table
from pluglab.cli.parameters import Wheres
from pluglab.errors import UserError
from pluglab.plugins.loading import Plugins
from pluglab.storage.run_folder import ExperimentFolder, RunFolder, is_experiment, runs_below


@dataclass(frozen=True)
class Removal:
    """What is to go of one run: `paths` are files, or its folder; `words` say what they are."""

    run: RunFolder
    words: str
    paths: tuple[Path, ...]

    def size(self) -> int:
        files = [file for path in self.paths for file in ([path] if path.is_file() else path.rglob("*"))]
        return sum(file.lstat().st_size for file in files if not file.is_dir())


def add(app: typer.Typer, plugins: Plugins) -> None:
    @app.command()
    def clean(
        folder: Annotated[
            list[Path],
            typer.Argument(
                metavar="FOLDER...",
                help="Runs, experiments, or folders of them.",
                show_default=False,
                autocompletion=completion.runs,
            ),
        ],
        checkpoints: Annotated[
            bool,
            typer.Option(
                "--checkpoints",
                metavar="",
                help="Remove checkpoints alone: all but the reported step's and the newest.",
            ),
        ] = False,
        all_: Annotated[
            bool,
            typer.Option(
                "--all",
                metavar="",
                help="With --checkpoints: every one. Such a run can be read, but not loaded.",
            ),
        ] = False,
        where: Wheres = [],  # noqa: B006
        dry_run: Annotated[
            bool, typer.Option("--dry-run", metavar="", help="Show what would go, and remove nothing.")
        ] = False,
        yes: Annotated[bool, typer.Option("--yes", metavar="", help="Do not ask.")] = False,
    ) -> None:
        """Remove runs, or checkpoints of runs, after showing how much there is and asking.

        A run that is going on is never touched.
        """
        if all_ and not checkpoints:
            raise UserError("--all goes with --checkpoints", help=["without both, whole runs are removed"])
        runs = _named(folder, where)
        with ExitStack() as locks:
            for run in runs:
                locks.enter_context(_untouched(run))
            removals = [one for run in runs for one in _removals(run, checkpoints, all_)]
            if _agreed(removals, dry_run, yes):
                for removal in removals:
                    _remove(removal)


def _named(folders: Sequence[Path], wheres: Sequence[str]) -> list[RunFolder]:
    """The runs in the folders. Raises `UserError` for a folder without any."""
    for folder in folders:
        if not runs_below([folder]):
            raise UserError(f"there is no run in {folder}", help=["`lab list runs` lists them"])
    runs = runs_below(folders)
    if wheres:
        from pluglab.cli.runs import chosen, rows_of_runs

        runs = [RunFolder(row.path) for row in chosen(rows_of_runs(runs), wheres)]
    return runs


def _untouched(run: RunFolder) -> ExitStack:
    """The run's lock. Raises `UserError` where another process holds it."""
    stack = ExitStack()
    if run.is_held():
        raise UserError(f"{run.path} is running", help=["wait until it has ended, or leave it out"])
    if (run.path / ".lock").exists():
        stack.enter_context(run.held())
    return stack


def _removals(run: RunFolder, checkpoints: bool, every: bool) -> Iterator[Removal]:
    if not checkpoints:
        yield Removal(run, "the whole run", (run.path,))
        return
    files = sorted(run.checkpoints.glob("step_*.pt"))
    kept = set() if every else _kept_steps(run, files)
    gone = tuple(file for file in files if _step(file) not in kept)
    if gone:
        left = ", ".join(map(str, sorted(kept)))
        yield Removal(
            run, f"{len(gone)} of {len(files)} checkpoints" + (f"; kept: step {left}" if left else ""), gone
        )


def _kept_steps(run: RunFolder, files: Sequence[Path]) -> set[int]:
    """The newest and the reported step, as far as there are checkpoints of them."""
    there = {_step(file) for file in files}
    return {step for step in (max(there, default=None), run.reported_step()) if step in there}


def _step(file: Path) -> int:
    return int(file.name.removeprefix("step_").partition(".")[0])


def _agreed(removals: Sequence[Removal], dry_run: bool, yes: bool) -> bool:
    """Show what is to go, and ask. Raises `UserError` where nobody can be asked."""
    from pluglab.cli.runs import size_in_words

    if not removals:
        echo("there is nothing to remove")
        return False
    sizes = [removal.size() for removal in removals]
    rows = [(r.run.path, r.words, size_in_words(size)) for r, size in zip(removals, sizes, strict=True)]
    print_table(["run", "what goes", "size"], rows)
    total = f"{size_in_words(sum(sizes))} of {len(removals)} run{'s' if len(removals) > 1 else ''}"
    if dry_run:
        print(f"{total} would be removed; nothing was.")
        return False
    if not yes:
        if not sys.stdin.isatty():
            raise UserError("nothing was removed: nobody can be asked here", help=["give --yes to remove it"])
        yes = typer.confirm(f"Remove {total}?")
    if not yes:
        echo("nothing was removed")
        return False
    print(f"removing {total}")
    return True


def _remove(removal: Removal) -> None:
    for path in removal.paths:
        if path.is_dir():
            _remove_run(removal.run)
        else:
            path.unlink()


def _remove_run(run: RunFolder) -> None:
    """The folder of a run, of an experiment that has no other run, and of a recipe that has neither."""
    around = run.path.parent
    if is_experiment(around):
        experiment = ExperimentFolder(around)
        experiment.forget(run)
        if not experiment.runs():
            run, around = RunFolder(around), around.parent
    shutil.rmtree(run.path)
    with suppress(OSError):  # it is not empty
        around.rmdir()
