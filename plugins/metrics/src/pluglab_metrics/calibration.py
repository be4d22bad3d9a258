"""Calibration: whether predictions of 80 % confidence are right in 80 % of the cases (Guo et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

BINS = 15  # as Guo et al. 2017, section 4


@dataclass(frozen=True)
class Bin:
    """The predictions whose confidence lies in (low, high]; both means are None where there are none."""

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


def reliability(confidence: Tensor, right: Tensor, bins: int = BINS) -> list[Bin]:
    """Bins of equal width. `confidence`: N largest probabilities; `right`: bool N."""
    place = (confidence.double() * bins).ceil().long().clamp(1, bins) - 1
    return [
        _bin(i / bins, (i + 1) / bins, confidence[place == i].double(), right[place == i])
        for i in range(bins)
    ]


def _bin(low: float, high: float, confidence: Tensor, right: Tensor) -> Bin:
    if not len(confidence):
        return Bin(low, high, 0, None, None)
    return Bin(low, high, len(confidence), confidence.mean().item(), right.double().mean().item())


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """Mean |accuracy - confidence| over the predictions, bin by bin: from 0 to 1 (eq. 3). 0 is best."""
    count = sum(one.count for one in bins)
    gaps = (
        one.count * abs(one.accuracy - one.confidence)
        for one in bins
        if one.accuracy is not None and one.confidence is not None
    )
    return sum(gaps) / count


def plot_of(bins: Sequence[Bin], title: str) -> Mapping[str, Any]:
    """What `pluglab_plots` draws."""
    return {"plot": "reliability", "title": title, "bins": [vars(one) for one in bins]}


def confidence_of(probabilities: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The largest of N x K probabilities, and whether it is that of the label."""
    confidence, guess = probabilities.max(1)
    return confidence, torch.eq(guess, labels)
