"""What every data set here needs: named splits, labels 0 to 9."""

from __future__ import annotations

from collections.abc import Mapping

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


def labelled(pixels: np.ndarray, labels: np.ndarray, provenance: dict[str, object]) -> Images:
    """`pixels`: uint8 N x C x H x W. `labels`: integers 0 to 9, length N."""
    return Images(
        torch.from_numpy(pixels),
        torch.from_numpy(labels.astype(np.int64)),
        classes=DIGITS,
        provenance=provenance,
    )
