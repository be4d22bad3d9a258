"""A training whose score is known: a hill over two options, that one climbs step by step."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pluglab import Batch, Evaluation, Images, Options, Progress, Role, TrainerBase, UserError

TOP = 3.0
HEIGHTS = {"low": 0.0, "middle": 1.0, "high": 2.0}


def height(x: float, kind: str) -> float:
    """The score of a whole training."""
    return HEIGHTS[kind] - (x - TOP) ** 2


class Hill(TrainerBase):
    """Learns nothing but how many steps it has made."""

    class Config(Options):
        x: float = 0.0
        """Where one stands."""
        kind: Literal["low", "middle", "high"] = "low"
        """Which hill."""
        even: int = 0
        """A whole number, which must not be 13 with the hill 'high'."""
        fails_at: int | None = None
        """The loss is NaN from this step on."""

    roles = (Role("train", labels="required"), Role("other", labels="hidden"))

    def __init__(self, config: Config, data: Mapping[str, Any]) -> None:
        if (config.even, config.kind) == (13, "high"):
            raise UserError("13 is not for the hill 'high'")
        self.config = config
        self.net = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.net.weight)

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        _misbehave(progress.step, self.config.x)
        with torch.no_grad():
            self.net.weight += 1 / progress.total
        share = self.net.weight.detach().sum()
        return {"loss/share": share * float("nan") if progress.step == self.config.fails_at else share}


def _misbehave(step: int, x: float) -> None:
    """End the process as HILL_END says, at a step of the training with this x: 'TERM:5:1.0'."""
    name, at, where = os.environ.get("HILL_END", ":-1:0").split(":")
    if step == int(at) and x == float(where) and not Path("ended").exists():
        Path("ended").touch()
        os.kill(os.getpid(), signal.Signals[f"SIG{name}"])


class Level:
    """Eight images, half of them of each class."""

    class Config(Options):
        """None."""

    def __init__(self, config: Config) -> None:
        """Nothing to keep."""

    def prepare(self, context: Any) -> None:
        """Nothing to do."""

    def split(self, name: str) -> Images:
        images = torch.zeros(8, 1, 4, 4, dtype=torch.uint8)
        return Images(images, torch.arange(8) % 2, ("a", "b"))


class Score:
    """The height of the part of the hill that is climbed, and how far one stands from the origin."""

    class Config(Options):
        peeks: bool = False
        """Whether it reads labels that are hidden."""

    needs = ()

    def __init__(self, config: Config) -> None:
        self.config = config

    def check(self, trainer: Any, data: Any) -> Mapping[str, set[str]]:
        roles = {"other"} if self.config.peeks else set()
        return {"height": roles, "far": set()}

    def evaluate(self, trainer: Hill, data: Any, context: Any) -> Evaluation:
        if self.config.peeks:
            _ = data["other"]["test"].labels
        share = float(trainer.net.weight.detach())
        found = height(trainer.config.x, trainer.config.kind)
        return Evaluation({"height": share * found, "far": abs(trainer.config.x)}, headline=("height",))


def lab_register(registry: Any) -> None:
    registry.add("trainer", "hill", Hill)
    registry.add("dataset", "level", Level)
    registry.add("evaluator", "score", Score)
