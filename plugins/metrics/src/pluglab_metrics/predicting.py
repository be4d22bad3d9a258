"""`lab predict`: classes for a folder of images, and what labels say of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import pluglab
from pluglab import TrainedModel, UserError
from pluglab.capabilities import Classifies
from pluglab.data.image_files import read_picture
from pluglab.images import ImageSpec
from pluglab.storage.csv_files import write_csv
from pluglab_datasets.labels import labels_of
from pluglab_metrics.folders import NAMED, pictures_below, tell_damaged
from pluglab_metrics.judging import Judgement, judge


@dataclass(frozen=True)
class Request:
    """What is wanted: the classes of the images in `folder`, in the table `out`."""

    run: Path
    folder: Path
    out: Path
    labels: Path | None
    role: str | None
    batch_size: int
    overwrite: bool
    as_json: bool


@dataclass(frozen=True)
class Predicted:
    """Probabilities N x K of the images of these names; `damaged` are files that are none."""

    names: list[str]
    probabilities: Tensor
    damaged: list[str]


def predict(request: Request, load: Mapping[str, Any]) -> None:
    """`load`: how the run is opened. Raises `UserError` for a folder without images, labels that do not fit
    them, or a model that does not classify."""
    if request.out.exists() and not request.overwrite:
        help = ["name another file, or give --overwrite"]
        raise UserError(f"{request.out} is there already", help=help)
    files = pictures_below(request.folder)
    labels = labels_of(files, request.folder, request.labels) if request.labels else {}
    model = pluglab.load(request.run, **load)
    model.require(Classifies)
    role = model.role(request.role)
    classes = model.specs[role].classes or ()
    _check_classes(labels, classes, request.labels)
    found = _classify(model, role, files, request)
    tell_damaged(found.damaged, len(files))
    if not found.names:
        raise UserError(f"no image in {request.folder} can be read")
    if labels and not labels.keys() & set(found.names):
        raise UserError(f"{request.labels} labels no image that can be read")
    _write_table(request.out, found, model.specs[role], labels)
    judged = _judged(found, labels, classes, request)
    if request.as_json:
        print(json.dumps({"images": len(found.names), "table": str(request.out), **judged}, indent=2))
    else:
        print(f"{len(found.names):,} images: {request.out}")


def _check_classes(labels: Mapping[str, str], classes: Sequence[str], table: Path | None) -> None:
    strange = sorted(set(labels.values()) - set(classes))
    if strange:
        message = f"{table} labels images as {', '.join(strange[:NAMED])}, and the model knows no such class"
        raise UserError(message, help=[f"its classes: {', '.join(classes) or 'none has a name'}"])


# Predictions -----------------------------------------------------------------------------------------


def _classify(model: TrainedModel, role: str, files: Sequence[str], request: Request) -> Predicted:
    names: list[str] = []
    damaged: list[str] = []
    parts: list[Tensor] = []
    read = partial(_read, spec=model.specs[role])
    track = pluglab.data_context().track
    with track("classifying", len(files)) as bar, ThreadPoolExecutor() as pool:
        for start in range(0, len(files), request.batch_size):
            part = files[start : start + request.batch_size]
            pixels = dict(zip(part, pool.map(read, (request.folder / name for name in part)), strict=True))
            whole = {name: image for name, image in pixels.items() if image is not None}
            damaged += pixels.keys() - whole.keys()
            names += whole
            if whole:
                parts.append(model.predict(np.stack(list(whole.values())), role))
            bar.advance(len(part))
    return Predicted(names, torch.cat(parts) if parts else torch.empty(0, 0), damaged)


def _read(path: Path, spec: ImageSpec) -> np.ndarray | None:
    try:
        return read_picture(path, spec)
    except UserError:
        raise
    except Exception:  # PIL raises many kinds for a file that is no image
        return None


def _write_table(out: Path, found: Predicted, spec: ImageSpec, labels: Mapping[str, str]) -> None:
    """name,class,probability, and true_class where there are labels."""
    confidence, guess = found.probabilities.max(1)
    columns = ["name", "class", "probability", *(["true_class"] if labels else [])]
    rows = (
        [name, spec.class_name(label), f"{share:.4f}", *([labels.get(name, "")] if labels else [])]
        for name, label, share in zip(found.names, guess.tolist(), confidence.tolist(), strict=True)
    )
    write_csv(out, columns, rows)


# Judged ----------------------------------------------------------------------------------------------


def _judged(
    found: Predicted, labels: Mapping[str, str], classes: Sequence[str], request: Request
) -> dict[str, Any]:
    """What the labels say, printed and written beside the table; as plain values."""
    rows = [i for i, name in enumerate(found.names) if name in labels]
    if not labels:
        return {}
    numbers = torch.tensor([classes.index(labels[found.names[i]]) for i in rows])
    judgement = judge(found.probabilities[rows], numbers, tuple(classes))
    files = list(judgement.write(request.out.with_suffix(""), str(request.folder)))
    if not request.as_json:
        for line in _words(judgement, len(found.names)):
            print(line)
        print("".join(f"{file}\n" for file in files), end="")
    return {**judgement.to_dict(), "files": list(map(str, files))}


def _words(judgement: Judgement, images: int) -> Iterator[str]:
    unlabeled = f" ({images - judgement.count:,} others have no label)" if images > judgement.count else ""
    yield f"accuracy: {judgement.accuracy:.2f} % of {judgement.count:,} images{unlabeled}"
    yield f"calibration error: {judgement.calibration_error:.2f} % (ECE, {len(judgement.bins)} bins)"
    for name, accuracy, count, mistaken in judgement.by_class.rows:
        shown = f"{accuracy:.2f} %" if isinstance(accuracy, float) else accuracy
        yield f"  {name}: {shown} of {count:,}" + (f", most often taken for {mistaken}" if mistaken else "")
