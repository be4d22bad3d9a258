"""`lab export`: its declaration, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pluglab.cli.parameters import Checkpoint, DataRoot, Overwrite, PlaceSets, PluginFiles, RunPath

EPILOG = """
Examples:

- `lab export runs/mine/20261121-093000-a1b2 --out mine` writes all there is
- `lab export RUN --out mine --checkpoint 4000 --overwrite`
- `lab export RUN --out mine --format torch` writes no ONNX; `--format none` weights and model card only
- `lab run RECIPE --init mine/model.safetensors` trains on from what was exported

Networks are those that the model calls when it samples, predicts, embeds or reconstructs. ONNX needs
`pip install "pluglab-export[onnx]"`; a network that ONNX cannot hold is written by torch.export.
"""


class Format(StrEnum):
    """What networks are written as."""

    auto = "auto"
    onnx = "onnx"
    torch = "torch"
    none = "none"


Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the files go.", show_default=False)]
AsFormat = Annotated[
    Format,
    typer.Option(
        "--format",
        help="What networks are written as; auto: ONNX where that works and is installed, else torch.export.",
    ),
]


def add(app: typer.Typer) -> None:
    @app.command(epilog=EPILOG)
    def export(
        run: RunPath,
        out: Out,
        checkpoint: Checkpoint = None,
        format: AsFormat = Format.auto,
        overwrite: Overwrite = False,
        sets: PlaceSets = [],  # noqa: B006
        data_root: DataRoot = None,
        plugin: PluginFiles = [],  # noqa: B006
    ) -> None:
        """Write a trained model into files that need no pluglab: weights, networks, a model card.

        Weights go into model.safetensors: averaged ones where the trainer averages. Each network goes into an
        ONNX or torch.export file that takes batches of any size. What the model is stands in config.json and
        README.md. Every file is read back and compared before the folder appears.
        """
        _export(run, out, checkpoint, format, overwrite, sets, data_root, plugin)


def _export(
    run: Path,
    out: Path,
    step: int | None,
    format: Format,
    overwrite: bool,
    sets: Sequence[str],
    data_root: Path | None,
    plugins: Sequence[Path],
) -> None:
    from pluglab import load
    from pluglab_export.exporting import export
    from pluglab_export.folder import check_free
    from pluglab_export.formats import wanted_formats
    from pluglab_export.progress import telling

    check_free(out, overwrite)
    sets = ["run.precision=32", "run.compile=false", *sets]
    with telling() as say:
        formats = wanted_formats(format, say)
        model = load(run, step=step, data_root=data_root, plugins=plugins, sets=sets)
        export(model, out, formats, overwrite=overwrite, say=say)
    print(f"exported: {out}")
