"""What every data set here needs: named splits, labels with names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pluglab.data import Images
from pluglab.errors import UserError, did_you_mean

DIGITS = tuple("0123456789")


def pick(splits: Mapping[str, Images], name: str, dataset: str) -> Images:
    """The split called `name`. Raises `UserError` that lists the splits there are."""
    if name in splits:
        return splits[name]
    known = f"its splits: {', '.join(splits)}"
    raise UserError(f"data set '{dataset}' has no split '{name}'", help=[did_you_mean(name, splits) or known])


def check_labels(labels: np.ndarray, values: range, path: Path, unit: str = "image") -> np.ndarray:
    """The labels. Raises `UserError`, with the first such image or line of the file, for one that is not
    among `values`."""
    wrong = np.flatnonzero(~np.isin(labels, values))
    if len(wrong):
        first, last = values[0], values[-1]
        message = (
            f"{path} has labels outside {first} to {last}: {labels[wrong[0]]:g} at {unit} {wrong[0] + 1:,}"
        )
        raise UserError(message, help=["get it again, or correct it"])
    return labels


def labeled(pixels: np.ndarray, labels: np.ndarray | None, provenance: dict[str, Any]) -> Images:
    """`pixels`: uint8 N x C x H x W. `labels`: integers of length N, or None. They mean what `classes` in the
    provenance says, and the digits where it says nothing."""
    classes = None if labels is None else tuple(provenance.get("classes", DIGITS))
    values = None if labels is None else torch.from_numpy(labels.astype(np.int64))
    return Images(torch.from_numpy(pixels), values, classes=classes, provenance=provenance)
