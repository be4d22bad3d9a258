"""`lab extend`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pluglab.cli.parameters import (
    AcceptData,
    DataRoot,
    Jobs,
    Launcher,
    PluginFiles,
    RunDir,
    RunPath,
    session_for,
    with_launcher,
)
from pluglab.plugins.loading import Plugins

EPILOG = """
Examples:

- `lab extend RUN --set steps=20000`
- `lab extend RUN --step 5000 --set trainer.optimizer.lr=1e-4`
"""
Sets = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="What is to be other from here on; may be given again.",
        show_default=False,
    ),
]
Step = Annotated[
    int | None,
    typer.Option(metavar="N", help="From the checkpoint of step N; else the newest.", show_default=False),
]


def add(app: typer.Typer, plugins: Plugins) -> None:
    @app.command(epilog=EPILOG)
    def extend(
        run: RunPath,
        sets: Sets = [],  # noqa: B006
        step: Step = None,
        run_dir: RunDir = Path("runs"),
        data_root: DataRoot = None,
        accept_data: AcceptData = False,
        jobs: Jobs = None,
        launcher: Launcher = None,
        plugin: PluginFiles = [],  # noqa: B006
    ) -> None:
        """Go on from a checkpoint under changed options, as a new run that records its parent.

        It has everything: weights, optimizers, averages, random numbers. It says whether it is, bit for bit,
        the run that had these options from the start.
        """
        from pluglab.cli.run import carry_out
        from pluglab.experiments import extend as extending
        from pluglab.experiments.experiment import Changes

        session = session_for(run, data_root, plugin, plugins)
        changes = Changes(tuple(with_launcher(sets, launcher, jobs)), accept_data=accept_data)
        experiment = extending.extend(run, changes, step, run_dir, session)
        session.log(f"run folder: {experiment.folder}")
        carry_out(experiment, session)
