"""`lab repair`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pluglab.cli import completion
from pluglab.cli.parameters import DataRoot, PluginFiles
from pluglab.plugins.loading import Plugins


def add(app: typer.Typer, plugins: Plugins) -> None:
    @app.command()
    def repair(
        run: Annotated[
            Path,
            typer.Argument(
                metavar="RUN",
                help="A folder that `lab run` made, some files of which are damaged or gone.",
                show_default=False,
                autocompletion=completion.runs,
            ),
        ],
        data_root: DataRoot = None,
        plugin: PluginFiles = [],  # noqa: B006
    ) -> None:
        """Make damaged files of a run anew from those that are whole, so that it can go on.

        What was there is kept beside them, as NAME.damaged.
        """
        from pluglab.cli.output import echo
        from pluglab.cli.parameters import plugins_with
        from pluglab.experiments.repair import repair as repaired
        from pluglab.experiments.session import new_session

        session = new_session(plugins_with(plugins, plugin), data_root, echo)
        lines = list(repaired(run, session))
        print("\n".join(lines) if lines else f"{run}: there is nothing to repair")
