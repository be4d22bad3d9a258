"""`lab sample`."""

from __future__ import annotations

import csv
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pluglab.cli.output import echo
from pluglab.cli.parameters import Checkpoint, DataRoot, Overwrite, PluginFiles, RunPath, session_for
from pluglab.errors import UserError
from pluglab.plugins.loading import Plugins

if TYPE_CHECKING:
    from torch import Tensor

    from pluglab.experiments.session import Session
    from pluglab.recipe.positions import TomlSource
    from pluglab.trained import TrainedModel

LABELS = "labels.csv"
OURS = re.compile(r"\d{5,}\.png|" + re.escape(LABELS))
SHOWN, COLUMNS = 100, 10  # images of the grid
SampleFolder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the images go.")]
Number = Annotated[int, typer.Option("--number", "-n", metavar="N", help="How many.", min=1)]
Labels = Annotated[
    str | None,
    typer.Option(
        metavar="CLASSES",
        help="Classes to ask for in turn, names or numbers, such as 3,7; a name with a comma in double "
        "quotes; or FILE.csv, one for each image, in its column 'label'; or 'balanced', all of them, which a "
        "class-conditional model is asked for anyway.",
    ),
]
Steps = Annotated[int | None, typer.Option(metavar="N", help="Steps of the sampler.", show_default=False)]
Sampler = Annotated[str | None, typer.Option(metavar="NAME", help="The sampler; see `lab list samplers`.")]
Guidance = Annotated[float | None, typer.Option(metavar="W", help="Weight of classifier-free guidance.")]
Sets = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Another option of sampling; may be given again. Keys that begin with run. or data. are those "
        "of the recipe.",
    ),
]
Seed = Annotated[
    int, typer.Option(metavar="N", help="The same seed, number and batch size give the same images.")
]
BatchSize = Annotated[int, typer.Option(metavar="N", help="Images made at a time.", min=1)]
Grid = Annotated[
    Path | None, typer.Option(metavar="FILE.png", help="Also draw the first 100 images in one picture.")
]
EPILOG = """
Examples:

- `lab sample runs/mine/20261121-093000-a1b2 -n 1000 --out digits`
- `lab sample RUN -n 100 --out threes --labels 3 --sampler ddim --steps 25 --guidance 2`
- `lab sample RUN --out few --set sampler.eta=0.5`

Which options of sampling there are depends on the trainer: a wrong name is answered with the right ones.
"""


def add(app: typer.Typer, plugins: Plugins) -> None:
    @app.command(epilog=EPILOG)
    def sample(
        run: RunPath,
        out: SampleFolder,
        number: Number = 100,
        labels: Labels = None,
        steps: Steps = None,
        sampler: Sampler = None,
        guidance: Guidance = None,
        sets: Sets = [],  # noqa: B006
        seed: Seed = 0,
        batch_size: BatchSize = 100,
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
        session = session_for(run, data_root, plugin, plugins)
        request = SampleRequest(out, number, labels, seed, batch_size, grid, overwrite)
        flags = {"sampler": sampler, "steps": steps, "guidance": guidance}
        _sample(run, request, flags, sets, checkpoint, session)


@dataclass(frozen=True)
class SampleRequest:
    """What is wanted: `number` images in the folder `out`."""

    out: Path
    number: int
    labels: str | None
    seed: int
    batch_size: int
    grid: Path | None
    overwrite: bool


def _sample(
    run: Path,
    request: SampleRequest,
    flags: Mapping[str, Any],
    sets: Sequence[str],
    step: int | None,
    session: Session,
) -> None:
    """Raises `UserError` for what cannot be asked of the model; no image has been made by then."""
    from pluglab.capabilities import Samples
    from pluglab.experiments.experiment import Changes
    from pluglab.trained import load_model, sampling_as

    _check_free(request.out, request.overwrite)
    of_recipe = tuple(given for given in sets if given.startswith(("run.", "data.")))
    options = _options(flags, [given for given in sets if given not in of_recipe])
    model = load_model(run, session, step, Changes(of_recipe), Samples)
    labels = requested_labels(request.labels, request.number, model.classes_to_ask)
    with sampling_as(model.trainer, model.name, options, model.registry):
        began = time.perf_counter()
        _draw(model, request, labels, session)
    seconds = time.perf_counter() - began
    speed = f"{request.number:,} images in {seconds:.1f} s, {request.number / seconds:,.1f} images/s"
    print(f"{speed}: {request.out}")


def _options(flags: Mapping[str, Any], sets: Sequence[str]) -> list[TomlSource]:
    """The options of sampling that were given, as flags of their own or by `--set`."""
    from pluglab.recipe.layers import read_override
    from pluglab.recipe.positions import parse_toml, quoted

    given = {key: value for key, value in flags.items() if value is not None}
    values = {
        key: quoted(value) if isinstance(value, str) else json.dumps(value) for key, value in given.items()
    }
    named = [parse_toml(f"{key} = {value}", f"--{key} {given[key]}") for key, value in values.items()]
    return [*named, *map(read_override, sets)]


def _check_free(out: Path, overwrite: bool) -> None:
    """Raises `UserError` for a folder that holds something, or a file in its place."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is not a folder")
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        help = ["name another folder, or give --overwrite to replace the images in it"]
        raise UserError(f"{out} is not empty", help=help)


def requested_labels(words: str | None, n: int, names: Sequence[str]) -> Tensor | None:
    """The class of each of n images, int64 n: all in turn, or those listed, as in '3,7' or 'cat,"a, b"', or
    those of a table, as in 'labels.csv'.

    `names` are those of the classes, none for an unconditional model; a number counts them from 0. Raises
    `UserError` for a class that there is not.
    """
    import torch

    from pluglab.evaluating import cycle_labels
    from pluglab.trained import class_number

    if words is not None and not names:
        raise UserError("the model is unconditional: no class can be asked for", help=["leave --labels out"])
    if words is None or (words == "balanced" and words not in names):
        return cycle_labels(n, len(names))
    if words.endswith(".csv") and words not in names:
        asked = _column(Path(words), n)
    else:
        (asked,) = [[words]] if words in names else csv.reader([words], skipinitialspace=True)
    listed = torch.tensor([class_number(word.strip(), names) for word in asked])
    return listed[torch.arange(n) % len(listed)]


def _column(path: Path, n: int) -> list[str]:
    """The first n values under 'label' of a table. Raises `UserError`."""
    try:
        rows = list(csv.DictReader(path.read_text("utf-8-sig").splitlines()))[:n]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    found = [row["label"] for row in rows if row.get("label")]
    if len(found) < n:
        raise UserError(f"{path} has {len(found)} of {n} classes in its column 'label'")
    return found


def _draw(model: TrainedModel, request: SampleRequest, labels: Tensor | None, session: Session) -> None:
    import torch

    from pluglab.data.image_files import PngFolder
    from pluglab.figures import image_grid, save_array
    from pluglab.storage.csv_files import write_csv

    digits = max(5, len(str(request.number - 1)))
    files = [f"{i:0{digits}d}.png" for i in range(request.number)]
    done, first = 0, []
    batches = model.sample_batches(request.number, labels, request.seed, request.batch_size)
    with session.context.track("sampling", request.number) as bar, PngFolder(request.out) as folder:
        for images in batches:
            if done == 0:
                _clear(request.out)
            folder.write(files[done : done + len(images)], images)
            first += [images] if done < SHOWN else []
            done += len(images)
            bar.advance(len(images))
    if labels is not None:
        rows = zip(files, (model.classes_to_ask[i] for i in labels), strict=True)
        write_csv(request.out / LABELS, ("name", "label"), rows)
    if request.grid is not None:
        page = image_grid(torch.cat(first)[:SHOWN], COLUMNS)
        echo(f"grid: {save_array(page, request.grid.with_suffix(''))}")


def _clear(folder: Path) -> None:
    """Take away what an earlier call has written; other files stay."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if OURS.fullmatch(path.name):
            path.unlink()
