"""Toys that generate, complain or prepare: given with `--plugin` beside the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pluglab.components import Options
from pluglab.errors import UserError
from pluglab.protocols import Batch, DataContext, Evaluation, Progress, Role
from pluglab.training import TrainerBase


class Complainer(TrainerBase):
    """Its loss is the number of the step, and it complains at some of them."""

    class Config(Options):
        ill: tuple[int, ...] = ()
        """Steps whose log is bad news."""

    roles = (Role("train"),)

    def __init__(self, config: Config, data: Mapping[str, Any]) -> None:
        self.config = config

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        return {"loss/step": torch.tensor(progress.step + 1.0)}

    def diagnose(self, scalars: Mapping[str, float]) -> Sequence[str]:
        assert list(scalars) == ["loss/step"]
        step = scalars["loss/step"]
        return [f"a loss of {step:.3g} is bad; lower the rate"] if step in self.config.ill else []


class ToyJudge:
    """An evaluator that writes a file before training, and reads it when it looks."""

    class Config(Options):
        words: str = "fine"
        """What it writes; 'missing' cannot be had."""

    needs = ()

    def __init__(self, config: Config) -> None:
        self.config = config
        self.made: str | None = None

    def prepare(self, context: DataContext) -> None:
        if self.config.words == "missing":
            raise UserError("the judge's weights are missing", help=["download them"])
        with context.track("making a judge", 1) as bar:
            self.made = self.config.words
            bar.advance()

    def evaluate(self, trainer: Any, data: Any, context: Any) -> Evaluation:
        assert self.made is not None
        return Evaluation({"letters": float(len(self.made))})


def lab_register(registry: Any) -> None:
    registry.add("trainer", "complainer", Complainer)
    registry.add("evaluator", "toy_judge", ToyJudge)
