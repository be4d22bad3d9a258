"""A toy generator and an evaluator that prepares: given with `--plugin` beside the toys."""

from __future__ import annotations

from typing import Any

from pluglab.components import Options
from pluglab.errors import UserError
from pluglab.protocols import DataContext, Evaluation


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
    registry.add("evaluator", "toy_judge", ToyJudge)
