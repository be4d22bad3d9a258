"""`lab resume`."""

from __future__ import annotations

from typing import Annotated

import typer

from pluglab.cli.parameters import (
    AcceptData,
    DataRoot,
    Jobs,
    Launcher,
    PluginFiles,
    RunPath,
    session_for,
    with_launcher,
)
from pluglab.plugins.loading import Plugins

EPILOG = """
Examples:

- `lab resume runs/mine/20261121-093000-a1b2`
- `lab resume RUN --set trainer.optimizer.lr=1e-4` goes on at another rate, from the newest checkpoint
- `lab resume RUN --set steps=20000` trains a finished run on
- `lab resume RUN --set data.train.path=/new/place` finds data that have moved

`lab extend` does the same in a new folder, and leaves the run as it is.
"""
Sets = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Go on with another value of an option; may be given again. What changes the training is "
        "recorded in run.json, with the step.",
        show_default=False,
    ),
]


def add(app: typer.Typer, plugins: Plugins) -> None:
    @app.command(epilog=EPILOG)
    def resume(
        run: RunPath,
        sets: Sets = [],  # noqa: B006
        data_root: DataRoot = None,
        accept_data: AcceptData = False,
        jobs: Jobs = None,
        launcher: Launcher = None,
        plugin: PluginFiles = [],  # noqa: B006
    ) -> None:
        """Go on with an interrupted, killed or failed run or experiment, bit for bit where it stopped."""
        from pluglab.cli.run import carry_out
        from pluglab.experiments.experiment import Changes
        from pluglab.experiments.extend import resume_with

        session = session_for(run, data_root, plugin, plugins)
        changes = Changes(tuple(with_launcher(sets, launcher, jobs)), accept_data=accept_data)
        carry_out(resume_with(run, changes, session), session)
