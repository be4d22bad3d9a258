"""Feature extractors that need no weights, and a generator, as a plugin file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pluglab import Registrar, Role, TrainerBase
from tests.metrics.models import Labeler, Pool


class Noise(TrainerBase):
    """Draws noise out of the generator that it is given, lighter for class 1."""

    roles = (Role("train", labels="optional"),)
    num_classes = 2

    def __init__(self, config: Any, data: Mapping[str, Any]) -> None:
        self.spec = data["train"]

    def step(self, batch: Mapping[str, Any], progress: Any) -> Mapping[str, Tensor]:
        return {"loss/none": torch.zeros(())}

    def sample(self, n: int, labels: Tensor, generator: torch.Generator) -> Tensor:
        return torch.rand(n, *self.spec.shape, generator=generator) - 1 + labels.view(-1, 1, 1, 1)


def lab_register(registry: Registrar) -> None:
    registry.add("feature_extractor", "pool", Pool)
    registry.add("feature_extractor", "labeler", Labeler)
    registry.add("trainer", "noise", Noise)
