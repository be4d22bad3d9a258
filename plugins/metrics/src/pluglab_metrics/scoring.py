"""`lab score`: how good the images of a folder are, as `generation_quality` would score them."""

from __future__ import annotations

import json
import re
import tomllib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

import pluglab
from pluglab import Evaluation, Images, UserError
from pluglab.protocols import DataContext, EvaluationData
from pluglab_datasets.labels import labels_of
from pluglab_metrics.extractors.base import extract
from pluglab_metrics.folders import Split, read_folder
from pluglab_metrics.quality import GenerationQuality, format_count, network_notes
from pluglab_metrics.saved_statistics import (
    Resizing,
    Statistics,
    check_fits,
    read_statistics,
    write_statistics,
)
from pluglab_metrics.scores.frechet import FID, RunningGaussian

METRICS = ("fid", "kid", "precision_recall", "inception_score")
EXTRACTOR = "inception"
OPTION = re.compile(r'feature_extractor = "(\w+)"')  # as a recipe writes it


@dataclass(frozen=True)
class Request:
    """What is asked for; `against` is a data set, a folder or a file, and `sets` are options of the data set.

    Metrics and the extractor are names, or tables in TOML.
    """

    folder: Path
    against: str
    metrics: tuple[str, ...] = ()
    extractor: str | None = None
    labels: Path | None = None
    split: str = "train"
    sets: tuple[str, ...] = ()
    reference: int = 10_000
    role: str = "train"
    resized: Resizing | None = None
    save: Path | None = None
    size: int | None = None
    overwrite: bool = False
    batch_size: int = 100
    data_root: Path | None = None
    plugins: tuple[Path, ...] = ()

    def component(self, kind: str, name: str, **options: Any) -> Any:
        """Made by its name, with the plugin files of the request."""
        return pluglab.component(kind, name, plugins=self.plugins, **options).build()


def print_scores(request: Request, as_json: bool) -> None:
    """Print what `score` finds. What is said of the option of a recipe names the option of the command."""
    try:
        found = score(request)
    except UserError as error:
        help = [OPTION.sub(r"--extractor \1", line) for line in error.help]
        raise UserError(error.message, help=help) from error
    if as_json:
        print(json.dumps({"scores": dict(found.scalars), "protocol": dict(found.protocol)}, indent=2))
        return
    width = max(map(len, (*found.scalars, *found.protocol)))
    print("".join(f"{name:{width}}  {value:.6g}\n" for name, value in found.scalars.items()))
    print("".join(f"{name:{width}}  {value}\n" for name, value in found.protocol.items()), end="")


def score(request: Request) -> Evaluation:
    """Raises `UserError` for images, labels or statistics that cannot be compared."""
    if request.save is not None and request.save.exists() and not request.overwrite:
        raise UserError(f"{request.save} is there already", help=["name another file, or give --overwrite"])
    context = pluglab.data_context(request.data_root)
    names, pixels = read_folder(request.folder, request.size, context.track)
    if request.against.endswith(".npz"):
        return _against_statistics(request, pixels, context)
    return _against_images(request, names, pixels, context)


# Against images --------------------------------------------------------------------------------------


def _against_images(
    request: Request, names: Sequence[str], pixels: Tensor, context: DataContext
) -> Evaluation:
    part = _reference(request, context)
    if part.spec.shape[1:] != pixels.shape[2:]:
        sizes = [f"{height} x {width}" for _, height, width in (part.spec.shape, tuple(pixels.shape[1:]))]
        warnings.warn(
            f"the real images are {sizes[0]} and those of {request.folder} {sizes[1]}", stacklevel=2
        )
    labels = _labels(request, names, part)
    evaluator = _evaluator(request, len(pixels), labeled=labels is not None)
    evaluator.prepare(context)
    maker = SimpleNamespace(num_classes=part.spec.num_classes if labels is not None else 0)
    evaluator.check(maker, {part.role: {part.split: part}})
    evaluator.move_to(_device())
    if request.save is not None:
        _save(request.save, evaluator, part, context)
    batches = pixels.split(request.batch_size)
    asked = "none" if request.labels is None else f"those in {request.labels.name}"
    return evaluator.compare(batches, labels, part, context.cache, asked)


def _evaluator(request: Request, count: int, *, labeled: bool) -> GenerationQuality:
    wanted = request.metrics or (*METRICS, *(("class_accuracy",) if labeled else ()))
    evaluator: GenerationQuality = request.component(
        "evaluator",
        "generation_quality",
        metrics=[_value(text) for text in wanted],
        feature_extractor=_value(request.extractor or EXTRACTOR),
        n=count,
        reference=request.reference,
        role=request.role,
        split=request.split,
        batch_size=request.batch_size,
    )
    return evaluator


def _reference(request: Request, context: DataContext) -> Split:
    """The real images: those of a folder that is there and is no data set's name, or of a data set."""
    folder = Path(request.against)
    if folder.is_dir() and (len(folder.parts) > 1 or request.against.startswith((".", "/", "~"))):
        return _folder_split(request, folder, context)
    try:
        dataset = request.component("dataset", request.against, **_options(request.sets))
    except UserError:
        if folder.is_dir():
            return _folder_split(request, folder, context)
        raise
    dataset.prepare(context)
    return Split(request.role, request.split, request.against, dataset.split(request.split))


def _folder_split(request: Request, folder: Path, context: DataContext) -> Split:
    _, pixels = read_folder(folder, request.size, context.track)
    return Split(request.role, request.split, str(folder), Images(pixels))


def _labels(request: Request, names: Sequence[str], part: EvaluationData) -> Tensor | None:
    """The class that each image was asked for. Raises `UserError` where one has none."""
    if request.labels is None:
        return None
    found, classes = labels_of(names, request.folder, request.labels), part.spec.classes or ()
    missing = [name for name in names if name not in found]
    if missing:
        message = f"{request.labels} names no class of {missing[0]}"
        raise UserError(message, help=[f"it names {len(found):,} of {len(names):,} images"])
    strange = sorted(set(found.values()) - set(classes))
    if strange:
        message = f"{request.labels} names the class {strange[0]}, which {part.dataset} does not have"
        raise UserError(message, help=[f"its classes: {', '.join(classes) or 'none has a name'}"])
    return torch.tensor([classes.index(found[name]) for name in names])


def _save(path: Path, evaluator: GenerationQuality, part: EvaluationData, context: DataContext) -> None:
    gaussian = RunningGaussian()
    gaussian.update(evaluator.real_features(part, context.cache).features)
    write_statistics(path, gaussian.compute(), evaluator.extractor)


# Against statistics ----------------------------------------------------------------------------------


def _against_statistics(request: Request, pixels: Tensor, context: DataContext) -> Evaluation:
    path = Path(request.against)
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    others = [name for name in request.metrics if name != "fid"]
    if others:
        help = ["give the images themselves, or leave the metric out"]
        raise UserError(f"{others[0]} needs images, and {path} holds mean and covariance alone", help=help)
    statistics = read_statistics(path, request.resized)
    name, options = _named(request.extractor or _fitting(statistics))
    extractor = request.component("feature_extractor", name, **options)
    extractor.prepare(context)
    check_fits(statistics, extractor)
    extractor.to(_device())
    made = FID()
    made.update(extract(extractor, pixels.split(request.batch_size)), real=False)
    value = made.distance_to(statistics.gaussian(len(pixels)))
    protocol = {
        **network_notes(extractor),
        "generated images": f"{len(pixels):,}",
        "real images": f"{statistics.count or 'of unknown number'}: {path.name}",
        "hash of the statistics": statistics.digest[:16],
        "quantization": "both rounded to 8 bits, never compressed",
    }
    scalar = f"fid_{format_count(len(pixels))}/{extractor.name}"
    return Evaluation({scalar: value}, headline=(scalar,), protocol=protocol, better={scalar: "min"})


def _fitting(statistics: Statistics) -> str:
    """The extractor that statistics are of, as far as they say it."""
    if statistics.resizing is None:
        return EXTRACTOR
    return f'{{ name = "{EXTRACTOR}", resizing = "{statistics.resizing}" }}'


# Options ---------------------------------------------------------------------------------------------


def _value(text: str) -> Any:
    """A value of TOML; a bare word is text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _named(text: str) -> tuple[str, dict[str, Any]]:
    """The name and the options of a component. Raises `UserError` for a table without a name."""
    value = _value(text)
    table = dict(value) if isinstance(value, Mapping) else {"name": value}
    if not isinstance(name := table.pop("name", None), str):
        raise UserError(f"{text} names no component", help=['write a name, or { name = "...", ... }'])
    return name, table


def _options(sets: Sequence[str]) -> dict[str, Any]:
    return dict(_option(text) for text in sets)


def _option(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"--set {text}: write key=value", help=["for example --set size=28"])
    return key.strip(), _value(value.strip())


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
