"""`lab predict`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pluglab.cli.parameters import (
    Checkpoint,
    DataRoot,
    Overwrite,
    PlaceSets,
    PluginFiles,
    RunPath,
    session_for,
)
from pluglab.errors import UserError
from pluglab.plugins.loading import Plugins

if TYPE_CHECKING:
    import numpy as np

    from pluglab.experiments.session import Session
    from pluglab.images import ImageSpec
    from pluglab.trained import TrainedModel

NAMED = 5  # damaged files that are named
Row = tuple[str, str, str]


def add(app: typer.Typer, plugins: Plugins) -> None:
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
            int, typer.Option(metavar="N", help="Images read and classified at a time.", min=1)
        ] = 500,
        checkpoint: Checkpoint = None,
        overwrite: Overwrite = False,
        sets: PlaceSets = [],  # noqa: B006
        data_root: DataRoot = None,
        plugin: PluginFiles = [],  # noqa: B006
    ) -> None:
        """Classify a folder of images with a trained model: a CSV of name,class,probability."""
        session = session_for(run, data_root, plugin, plugins)
        request = PredictRequest(folder, out, role, batch_size, overwrite)
        _predict(run, request, checkpoint, sets, session)


@dataclass(frozen=True)
class PredictRequest:
    """What is wanted: the classes of the images in `folder`, in the table `out`."""

    folder: Path
    out: Path
    role: str | None
    batch_size: int
    overwrite: bool


def _predict(
    run: Path, request: PredictRequest, step: int | None, sets: Sequence[str], session: Session
) -> None:
    """Raises `UserError` for a folder without images, or a model that does not classify."""
    from pluglab.capabilities import Classifies
    from pluglab.experiments.experiment import Changes
    from pluglab.storage.csv_files import write_csv
    from pluglab.trained import load_model

    if request.out.exists() and not request.overwrite:
        help = ["name another file, or give --overwrite"]
        raise UserError(f"{request.out} is there already", help=help)
    files = _pictures(request.folder)
    model = load_model(run, session, step, Changes(tuple(sets)), Classifies)
    rows, damaged = _classify(model, model.role(request.role), files, request, session)
    if damaged:
        named = ", ".join(damaged[:NAMED]) + (", ..." if len(damaged) > NAMED else "")
        count = f"{len(damaged):,} of {len(files):,} files"
        warnings.warn(f"{count} cannot be read as an image: {named}", stacklevel=2)
    if not rows:
        raise UserError(f"no image in {request.folder} can be read")
    write_csv(request.out, ("name", "class", "probability"), rows)
    print(f"{len(rows):,} images: {request.out}")


def _pictures(folder: Path) -> list[Path]:
    from pluglab.data.image_files import SUFFIXES, files_below

    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder")
    files = [folder / name for name in files_below(folder) if name.lower().endswith(SUFFIXES)]
    if not files:
        help = [f"it should hold files that end in {', '.join(SUFFIXES)}, at any depth"]
        raise UserError(f"{folder} holds no images", help=help)
    return files


def _classify(
    model: TrainedModel, role: str, files: Sequence[Path], request: PredictRequest, session: Session
) -> tuple[list[Row], list[str]]:
    """A row for each image, and the names of the files that are none."""
    from concurrent.futures import ThreadPoolExecutor
    from functools import partial

    rows: list[Row] = []
    damaged: list[str] = []
    read = partial(_read, spec=model.specs[role])
    with session.context.track("classifying", len(files)) as bar, ThreadPoolExecutor() as pool:
        for start in range(0, len(files), request.batch_size):
            part = files[start : start + request.batch_size]
            names = [file.relative_to(request.folder).as_posix() for file in part]
            pixels = dict(zip(names, pool.map(read, part), strict=True))
            whole = {name: image for name, image in pixels.items() if image is not None}
            damaged += pixels.keys() - whole.keys()
            rows += _rows(model, role, whole) if whole else []
            bar.advance(len(part))
    return rows, damaged


def _rows(model: TrainedModel, role: str, images: dict[str, np.ndarray]) -> list[Row]:
    """The model's guess of each image's class."""
    import numpy as np

    confidence, guess = model.predict(np.stack(list(images.values())), role).max(1)
    pairs = zip(images, guess.tolist(), confidence.tolist(), strict=True)
    return [(name, model.specs[role].class_name(label), f"{share:.4f}") for name, label, share in pairs]


def _read(path: Path, spec: ImageSpec) -> np.ndarray | None:
    from pluglab.data.image_files import read_picture

    try:
        return read_picture(path, spec)
    except UserError:
        raise
    except Exception:  # PIL raises many kinds for a file that is no image
        return None
