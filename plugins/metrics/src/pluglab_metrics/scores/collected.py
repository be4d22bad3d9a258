"""Metrics that need all features at once."""

from __future__ import annotations

import torch
from torch import Tensor

from pluglab.errors import RunError
from pluglab_metrics.extractors.base import Features


class Collected:
    """Keeps the features of real and of generated images until `compute`."""

    reads = "features"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._parts: dict[bool, list[Tensor]] = {True: [], False: []}

    def update(self, batch: Features, real: bool, labels: Tensor | None = None) -> None:
        self._parts[real].append(batch.features)

    def features(self, *, real: bool) -> Tensor:
        """N x d. Raises `RunError` for fewer than two images."""
        count = sum(map(len, self._parts[real]))
        if count < 2:
            kind = "real" if real else "generated"
            raise RunError(f"this score needs at least two {kind} images, got {count}")
        return torch.cat(self._parts[real])
