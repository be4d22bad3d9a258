"""Components that ask for more, or go wrong: given with `--plugin` beside the toys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pluglab.components import Options
from pluglab.errors import UserError
from pluglab.images import Images
from pluglab.protocols import Batch, DataContext, Evaluation, Progress, Role
from pluglab.training import TrainerBase


class Needy(TrainerBase):
    """Has an option without a default."""

    class Config(Options):
        level: int
        """How high to go."""

    roles = (Role("train"),)

    def __init__(self, config: Config, data: Mapping[str, Any]) -> None:
        self.config = config

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        return {"loss": torch.zeros(())}


class Unbuildable(TrainerBase):
    """Its author made a mistake."""

    def __init__(self, config: Any, data: Mapping[str, Any]) -> None:
        torch.zeros(2, 3) @ torch.zeros(2, 3)

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        return {}


class Stumbling(TrainerBase):
    """Its author made a mistake that shows after some steps."""

    def __init__(self, config: Any, data: Mapping[str, Any]) -> None:
        self.steps = 0

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        if progress.step == 3:
            raise KeyError("a key that the author forgot")
        return {"loss": torch.zeros(())}


class Rooted:
    """A data set whose files the user must have."""

    def prepare(self, context: DataContext) -> None:
        if context.root is None:
            raise UserError("data set 'rooted' needs a data root", help=["give --data-root DIR"])

    def split(self, name: str) -> Images:
        return Images(torch.zeros(4, 1, 8, 8, dtype=torch.uint8))


class Misshapen:
    """A data set whose images are not what images must be."""

    def prepare(self, context: DataContext) -> None:
        """Nothing to do."""

    def split(self, name: str) -> Images:
        return Images(torch.zeros(4, 8, 8))


class Greedy:
    """An evaluator that asks for labels where there are none."""

    needs = ()

    def evaluate(self, trainer: Any, data: Mapping[str, Any], context: Any) -> Evaluation:
        return Evaluation({"labels": float(next(iter(data.values()))["test"].labels.sum())})


def lab_register(registry: Any) -> None:
    registry.add("trainer", "needy", Needy)
    registry.add("trainer", "unbuildable", Unbuildable)
    registry.add("trainer", "stumbling", Stumbling)
    registry.add("trainer", "lost", "no_such_module:Lost")
    registry.add("dataset", "rooted", Rooted)
    registry.add("dataset", "misshapen", Misshapen)
    registry.add("evaluator", "greedy", Greedy)
