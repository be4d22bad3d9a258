"""A training that takes its time, on data that are made up, and that is the same wherever it is resumed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pluglab import Batch, Evaluation, Images, Options, Progress, Role, TrainerBase, component


class Slow(TrainerBase):
    """A linear classifier with dropout."""

    class Config(Options):
        pause: float = 0.0
        """Seconds that a step waits."""
        width: int = 4
        """Hidden units."""

    roles = (Role("train", labels="required"),)

    def __init__(self, config: Config, data: Mapping[str, Any]) -> None:
        self.config = config
        layers = nn.Flatten(), nn.Linear(16, config.width), nn.Dropout(0.5), nn.Linear(config.width, 2)
        self.net = nn.Sequential(*layers)
        self.optimizer = component("optimizer", "adam").build(self.net.parameters())

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        time.sleep(self.config.pause)
        loss = nn.functional.cross_entropy(self.net(batch["train"].images), batch["train"].labels)
        self.update(self.optimizer, loss)
        return {"loss/class": loss.detach()}


class Patterns:
    """Noise in two shades."""

    class Config(Options):
        """None."""

    def __init__(self, config: Config) -> None:
        """Nothing to keep."""

    def prepare(self, context: Any) -> None:
        """Nothing to do."""

    def split(self, name: str) -> Images:
        labels = torch.arange(64) % 2
        noise = torch.randint(0, 150, (64, 1, 4, 4), generator=torch.Generator().manual_seed(0))
        return Images((noise + 100 * labels[:, None, None, None]).to(torch.uint8), labels, ("a", "b"))


class Weights:
    """The sum of all weights: equal only where the whole training was."""

    class Config(Options):
        """None."""

    needs = ()

    def __init__(self, config: Config) -> None:
        """Nothing to keep."""

    def evaluate(self, trainer: Slow, data: Any, context: Any) -> Evaluation:
        total = sum(float(one.detach().double().sum()) for one in trainer.net.parameters())
        return Evaluation({"weights": total}, headline=("weights",))


def lab_register(registry: Any) -> None:
    registry.add("trainer", "slow", Slow)
    registry.add("dataset", "patterns", Patterns)
    registry.add("evaluator", "weights", Weights)
