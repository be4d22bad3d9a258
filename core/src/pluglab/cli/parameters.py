"""Arguments and options that several commands share; those of plugins may use them too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pluglab.cli import completion, garbage
from pluglab.plugins.loading import Plugins, load_plugins

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pluglab.experiments.session import Session
    from pluglab.plugins.registry import Registry

RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe file.", show_default=False)]
RunPath = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="A folder that `lab run` made.",
        show_default=False,
        autocompletion=completion.runs,
    ),
]
Sets = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override an option of the recipe, for example --set trainer.optimizer.lr=3e-4; may be given "
        "again. In a recipe with variants it counts for those that have the option.",
        show_default=False,
    ),
]
PlaceSets = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Where data lie now, --set data.train.path=..., or another option of the machine, "
        "--set run.device=cpu; may be given again.",
        show_default=False,
    ),
]
Variants = Annotated[
    list[str],
    typer.Option(
        "--variant",
        metavar="NAME",
        help="Only this variant of the recipe; may be given again.",
        show_default=False,
    ),
]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root",
        envvar="LAB_DATA_ROOT",
        metavar="DIR",
        help="The folder that holds your data sets (MNIST/, USPS/, ...). It is never written to. Data of a "
        "run that have moved are looked for below it.",
        show_default=False,
    ),
]
RunDir = Annotated[
    Path,
    typer.Option("--run-dir", envvar="LAB_RUN_DIR", metavar="DIR", help="The folder that holds the runs."),
]
PluginFiles = Annotated[
    list[Path],
    typer.Option(
        "--plugin",
        metavar="FILE.py",
        help="Load one Python file as a plugin; may be given again.",
        show_default=False,
    ),
]
Wheres = Annotated[
    list[str],
    typer.Option(
        "--where",
        metavar="KEY=VALUE",
        help="Only runs with this, as in --where trainer.name=dann, tag=good, status=finished or seed=1; "
        "KEY!=VALUE: without. May be given again: all must hold.",
        show_default=False,
    ),
]
Tagged = Annotated[
    list[str],
    typer.Option(
        "--tag", metavar="TAG", help="A word to find the runs by; may be given again.", show_default=False
    ),
]
Note = Annotated[
    str | None,
    typer.Option("--note", metavar="TEXT", help="A line on what the runs are.", show_default=False),
]
# A flag takes no value: its metavar is empty.
AcceptData = Annotated[
    bool,
    typer.Option(
        "--accept-data",
        metavar="",
        help="Take data that are not those of the run; the change is recorded in run.json.",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        metavar="N",
        min=1,
        help="How many of several runs to train at the same time, each on its share of the CPU's threads. "
        "A resume goes on with the same number.",
        show_default=False,
    ),
]
Launcher = Annotated[
    str | None,
    typer.Option(
        "--launcher",
        metavar="NAME",
        help="What brings the runs to their ends: in_turn, processes, or a plugin's, such as ray and slurm. "
        "`lab list launchers` shows them; their options are given as --set run.launcher.cpus=4.",
        show_default=False,
    ),
]
Checkpoint = Annotated[
    int | None,
    typer.Option("--checkpoint", metavar="N", help="The checkpoint of step N; else the reported one.", min=0),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", metavar="", help="Replace what an earlier call has written there.")
]
AsJson = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON.")]


def plugins_with(plugins: Plugins, files: list[Path]) -> Plugins:
    """The plugins, with files given by `--plugin`."""
    return load_plugins(files) if files else plugins


def registry_with(files: Sequence[Path]) -> Registry:
    """All components of the installed plugins and of files given by `--plugin`, for a plugin's command."""
    return load_plugins(files).registry


def session_for(folder: Path, data_root: Path | None, files: list[Path], plugins: Plugins) -> Session:
    """A session that reads the run in `folder`."""
    from pluglab.cli.output import echo
    from pluglab.experiments.session import session_of

    session = session_of(folder, data_root, files, plugins_with(plugins, files), echo)
    garbage.imported()
    return session


def with_launcher(sets: list[str], launcher: str | None, jobs: int | None) -> list[str]:
    """`--launcher NAME` and `--jobs N` as an override, before those which may change its options."""
    name = launcher or (None if jobs is None else "in_turn" if jobs == 1 else "processes")
    if name is None:
        return sets
    more = f", jobs = {jobs}" if jobs is not None and name != "in_turn" else ""
    return [f"run.launcher={{ name = {name!r}{more} }}", *sets]
