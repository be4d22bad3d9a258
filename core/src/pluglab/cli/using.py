"""The commands that use a trained model: their options and their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pluglab.cli.parameters import DataRoot, PluginFiles, RunPath, plugins_with
from pluglab.plugins.loading import Plugins

Checkpoint = Annotated[
    int | None,
    typer.Option("--checkpoint", metavar="N", help="The checkpoint of step N; else the reported one.", min=0),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", metavar="", help="Replace what an earlier call has written there.")
]
SampleFolder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the images go.")]
Number = Annotated[int, typer.Option("--number", "-n", metavar="N", help="How many.", min=1)]
Labels = Annotated[
    str | None,
    typer.Option(
        metavar="CLASSES",
        help="Classes to ask for in turn, names or numbers, such as 3,7; or 'balanced', all of them, "
        "which a class-conditional model is asked for anyway.",
    ),
]
Steps = Annotated[int | None, typer.Option(metavar="N", help="Steps of the sampler.", show_default=False)]
Sampler = Annotated[str | None, typer.Option(metavar="NAME", help="The sampler; see `lab list samplers`.")]
Guidance = Annotated[float | None, typer.Option(metavar="W", help="Weight of classifier-free guidance.")]
SamplingSets = Annotated[
    list[str],
    typer.Option("--set", metavar="KEY=VALUE", help="Another option of sampling; may be given again."),
]
Seed = Annotated[
    int, typer.Option(metavar="N", help="The same seed, number and batch size give the same images.")
]
SampleBatch = Annotated[int, typer.Option(metavar="N", help="Images made at a time.", min=1)]
Grid = Annotated[
    Path | None, typer.Option(metavar="FILE.png", help="Also draw the first 100 images in one picture.")
]
SAMPLE_EPILOG = """
Examples:

- `lab sample runs/mine/20261121-093000-a1b2 -n 1000 --out digits`
- `lab sample RUN -n 100 --out threes --labels 3 --sampler ddim --steps 25 --guidance 2`
- `lab sample RUN --out few --set sampler.eta=0.5`

Which options of sampling there are depends on the trainer: a wrong name is answered with the right ones.
"""


def add_using(app: typer.Typer, plugins: Plugins) -> None:
    """`sample`, `predict`."""
    _add_sample(app, plugins)
    _add_predict(app, plugins)


def _add_sample(app: typer.Typer, plugins: Plugins) -> None:
    @app.command(epilog=SAMPLE_EPILOG)
    def sample(
        run: RunPath,
        out: SampleFolder,
        number: Number = 100,
        labels: Labels = None,
        steps: Steps = None,
        sampler: Sampler = None,
        guidance: Guidance = None,
        sets: SamplingSets = [],  # noqa: B006
        seed: Seed = 0,
        batch_size: SampleBatch = 100,
        checkpoint: Checkpoint = None,
        grid: Grid = None,
        overwrite: Overwrite = False,
        data_root: DataRoot = None,
        plugin: PluginFiles = [],  # noqa: B006
    ) -> None:
        """Write images of a trained generator as numbered PNG files.

        The classes asked for are in labels.csv beside them (name,label), so that the folder is a data set
        for `image_folder`.
        """
        from pluglab.cli import running, sampling

        session = running.recorded(run, data_root, plugin, plugins_with(plugins, plugin))
        order = sampling.Order(out, number, labels, seed, batch_size, grid, overwrite)
        changes = sampling.changes({"sampler": sampler, "steps": steps, "guidance": guidance}, sets)
        sampling.sample(run, order, changes, checkpoint, session)


def _add_predict(app: typer.Typer, plugins: Plugins) -> None:
    @app.command()
    def predict(
        run: RunPath,
        folder: Annotated[
            Path, typer.Argument(metavar="FOLDER", help="Images, at any depth.", show_default=False)
        ],
        out: Annotated[Path, typer.Option("--out", metavar="FILE.csv", help="Where the table goes.")] = Path(
            "predictions.csv"
        ),
        role: Annotated[
            str | None,
            typer.Option(
                metavar="ROLE",
                help="The role whose images these are like; needed where the trainer reads several.",
            ),
        ] = None,
        batch_size: Annotated[
            int, typer.Option(metavar="N", help="Images classified at a time.", min=1)
        ] = 500,
        checkpoint: Checkpoint = None,
        overwrite: Overwrite = False,
        data_root: DataRoot = None,
        plugin: PluginFiles = [],  # noqa: B006
    ) -> None:
        """Classify a folder of images with a trained model: a CSV of name,class,probability."""
        from pluglab.cli import predicting, running

        session = running.recorded(run, data_root, plugin, plugins_with(plugins, plugin))
        order = predicting.Order(folder, out, role, batch_size, overwrite)
        predicting.predict(run, order, checkpoint, session)
