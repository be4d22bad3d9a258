"""`lab predict`: its declaration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pluglab.cli.parameters import AsJson, Checkpoint, DataRoot, Overwrite, PlaceSets, PluginFiles, RunPath

EPILOG = """
Examples:

- `lab predict RUN images --out classes.csv`
- `lab predict RUN images --role target --labels labels.csv` also judges them
"""


def add(app: typer.Typer) -> None:
    @app.command(epilog=EPILOG)
    def predict(
        run: RunPath,
        folder: Annotated[
            Path, typer.Argument(metavar="FOLDER", help="Images, at any depth.", show_default=False)
        ],
        out: Annotated[Path, typer.Option("--out", metavar="FILE.csv", help="Where the table goes.")] = Path(
            "predictions.csv"
        ),
        labels: Annotated[
            Path | None,
            typer.Option(
                metavar="FILE",
                help="Judge the predictions by these labels: CSV with the columns name,label, or another "
                "table that `image_folder` reads.",
                show_default=False,
            ),
        ] = None,
        role: Annotated[
            str | None,
            typer.Option(
                metavar="ROLE",
                help="The role whose images these are like; needed where the trainer reads several.",
            ),
        ] = None,
        batch_size: Annotated[
            int, typer.Option(metavar="N", help="Images read and classified at a time.", min=1)
        ] = 500,
        checkpoint: Checkpoint = None,
        overwrite: Overwrite = False,
        sets: PlaceSets = [],  # noqa: B006
        data_root: DataRoot = None,
        plugin: PluginFiles = [],  # noqa: B006
        as_json: AsJson = False,
    ) -> None:
        """Classify a folder of images with a trained model: a CSV of name,class,probability.

        With labels also the accuracy, overall and by class, and the calibration error; the confusion matrix
        and the reliability diagram, as pictures and as CSV, stand beside the table.
        """
        from pluglab_metrics.predicting import Request, predict

        load = {"step": checkpoint, "data_root": data_root, "plugins": plugin, "sets": sets}
        predict(Request(run, folder, out, labels, role, batch_size, overwrite, as_json), load)
