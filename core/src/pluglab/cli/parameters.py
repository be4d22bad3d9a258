"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pluglab.plugins.loading import Plugins, load_plugins

RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe file.", show_default=False)]
RunPath = Annotated[
    Path, typer.Argument(metavar="RUN", help="A folder that `lab run` made.", show_default=False)
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
        help="The folder that holds your data sets (MNIST/, USPS/, ...). It is never written to.",
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
# A flag takes no value: its metavar is empty.
Resume = Annotated[
    bool,
    typer.Option("--resume", metavar="", help="Go on with the newest unfinished run of this recipe, if any."),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        metavar="",
        help="Check everything and run nothing. Only the cache is filled: data, and judges of samples.",
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
AsJson = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON.")]


def plugins_with(plugins: Plugins, files: list[Path]) -> Plugins:
    """The plugins, with files given by `--plugin`."""
    return load_plugins(files) if files else plugins
