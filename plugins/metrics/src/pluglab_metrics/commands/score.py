"""`lab score`: its declaration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pluglab.cli.parameters import AsJson, DataRoot, Overwrite, PluginFiles

EPILOG = """
Examples:

- `lab sample RUN -n 1000 --out drawn` and then `lab score drawn --against digits --set size=28 --split train`
- `lab score drawn --against photographs --metric fid --metric '{name = "kid", subset_size = 100}'`
- `lab score drawn --against cifar10_clean_train_32.npz` takes the statistics of clean-fid
- `lab score drawn --against digits --labels drawn/labels.csv --extractor digit_classifier`
"""


def add(app: typer.Typer) -> None:
    @app.command(epilog=EPILOG)
    def score(
        folder: Annotated[
            Path, typer.Argument(metavar="FOLDER", help="Images, at any depth.", show_default=False)
        ],
        against: Annotated[
            str,
            typer.Option(
                metavar="DATASET|FOLDER|FILE.npz",
                help="What they are compared with: a data set by its name, a folder of images, or statistics "
                "of pytorch-fid, clean-fid or `--save`.",
                show_default=False,
            ),
        ],
        metric: Annotated[
            list[str],
            typer.Option(
                metavar="NAME",
                help="A metric, by its name or as a table of its options; may be given again. By default "
                "fid, kid, precision_recall and inception_score, and with labels class_accuracy.",
                show_default=False,
            ),
        ] = [],  # noqa: B006
        extractor: Annotated[
            str | None,
            typer.Option(
                metavar="NAME",
                help="The network whose features are compared, by its name or as a table of its options; "
                "inception by default.",
                show_default=False,
            ),
        ] = None,
        labels: Annotated[
            Path | None,
            typer.Option(
                metavar="FILE",
                help="The classes that the images were asked for, such as labels.csv of `lab sample`.",
                show_default=False,
            ),
        ] = None,
        split: Annotated[
            str, typer.Option(metavar="NAME", help="The split of the data set; papers take train.")
        ] = "train",
        sets: Annotated[
            list[str],
            typer.Option(
                "--set",
                metavar="KEY=VALUE",
                help="An option of the data set, --set size=28; may be given again.",
                show_default=False,
            ),
        ] = [],  # noqa: B006
        reference: Annotated[
            int,
            typer.Option(metavar="N", help="Real images at most: a fixed random choice of the split.", min=2),
        ] = 10_000,
        role: Annotated[
            str,
            typer.Option(
                metavar="ROLE",
                help="The role that a recipe gives the data set; the choice of its images depends on it.",
            ),
        ] = "train",
        resized: Annotated[
            Literal["tensorflow", "pytorch", "clean"] | None,
            typer.Option(
                metavar="tensorflow|pytorch|clean",
                help="How images were resized for the statistics of a FILE.npz that does not say it.",
                show_default=False,
            ),
        ] = None,
        save: Annotated[
            Path | None,
            typer.Option(
                metavar="FILE.npz",
                help="Keep the statistics of the real images, as pytorch-fid does.",
                show_default=False,
            ),
        ] = None,
        size: Annotated[
            int | None,
            typer.Option(
                metavar="N", help="Resize images of folders to N x N first.", min=1, show_default=False
            ),
        ] = None,
        batch_size: Annotated[int, typer.Option(metavar="N", help="Images a forward pass.", min=1)] = 100,
        overwrite: Overwrite = False,
        data_root: DataRoot = None,
        plugin: PluginFiles = [],  # noqa: B006
        as_json: AsJson = False,
    ) -> None:
        """Score a folder of images: FID, KID, precision and recall, and others, with their protocol.

        The same numbers as those of the evaluator `generation_quality` for the same images.
        """
        from pluglab_metrics.scoring import Request, print_scores

        request = Request(
            folder,
            against,
            metrics=tuple(metric),
            extractor=extractor,
            labels=labels,
            split=split,
            sets=tuple(sets),
            reference=reference,
            role=role,
            resized=resized,
            save=save,
            size=size,
            overwrite=overwrite,
            batch_size=batch_size,
            data_root=data_root,
            plugins=tuple(plugin),
        )
        print_scores(request, as_json)
