"""Trainers whose networks resist being exported, each in its own way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pluglab import Batch, Options, Progress, Role, TrainerBase

Oddity = Literal["branching", "special", "random", "parts", "blind"]


class Branching(nn.Linear):
    """Does one thing or another, as the values of its input are."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs) if inputs.mean() > 0 else inputs[:, : self.out_features]


class Special(nn.Linear):
    """Uses a function that ONNX has not."""

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.special.bessel_j0(super().forward(inputs))


class Random(nn.Linear):
    """Drops values also when it is evaluated."""

    def forward(self, inputs: Tensor) -> Tensor:
        return F.dropout(super().forward(inputs), 0.5, training=True)


class Pair(nn.Module):
    """Two layers."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(10, 10), nn.Linear(10, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.second(self.first(inputs))


NETWORKS = {"branching": Branching, "special": Special, "random": Random}


class Odd(TrainerBase):
    """Classifies with a network that is odd."""

    class Config(Options):
        oddity: Oddity = "branching"
        """What is odd about it."""

    roles = (Role("train", labels="required"),)

    def __init__(self, config: Config, data: Mapping[str, Any]) -> None:
        self.config, spec = config, data["train"]
        self.odd = NETWORKS.get(config.oddity, nn.Linear)(spec.channels * spec.height * spec.width, 10)
        self.plain = Pair(spec.num_classes)
        self.unused = nn.Linear(1, 1)

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        return {"loss/none": batch["train"].images.mean()}

    def predict(self, images: Tensor, role: str) -> Tensor:
        if self.config.oddity == "blind":
            return images.new_zeros(len(images), 10)
        hidden = self.odd(images.flatten(1))
        if self.config.oddity == "parts":
            return self.plain.second(self.plain.first(hidden))
        return self.plain(hidden)


class Idle(TrainerBase):
    """Can do nothing."""

    def __init__(self, config: Options, data: Mapping[str, Any]) -> None:
        self.net = nn.Linear(1, 1)

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        return {"loss/none": batch["train"].images.mean()}


def lab_register(registry: Any) -> None:
    registry.add("trainer", "odd", Odd)
    registry.add("trainer", "idle", Idle)
