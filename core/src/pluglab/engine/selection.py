"""Which checkpoint is reported: the last one, or the best by a metric that may not read hidden labels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pluglab.recipe.recipe import EvaluatorUse, Recipe

PLACE = ("select", "metric")


def check_selection(recipe: Recipe) -> None:
    """A selected metric must be looked at during training. Raises `RecipeError` before any."""
    if recipe.options.select and not any(use.every for use in recipe.evaluators):
        help = ["give the evaluator that reports it an `every`, the steps between two looks"]
        raise recipe.error(
            PLACE, "no evaluator runs during training, so there is nothing to select by", help=help
        )


class Selector:
    """Remembers the best step so far. `hidden` are the roles whose labels may not decide."""

    def __init__(self, recipe: Recipe, hidden: set[str]) -> None:
        self.recipe, self.hidden = recipe, hidden
        self.select = recipe.options.select
        self.best: dict[str, Any] = {}
        self._reported: set[str] = set()
        self._unheard = {use.label for use in recipe.evaluators if use.every}

    def hear(self, use: EvaluatorUse, scalars: Mapping[str, float], labels_read: set[str]) -> None:
        """Check what an evaluator reports. Raises `RecipeError` if the metric read hidden labels, or if all
        evaluators of the training have spoken and none has reported it or the oracle's."""
        if self.select is None:
            return
        self._reported |= set(scalars)
        self._unheard.discard(use.label)
        if self.select.metric in scalars:
            self._check_leak(labels_read & self.hidden)
        if not self._unheard:
            self._check_reported()

    def _check_reported(self) -> None:
        assert self.select is not None
        for key in ("metric", "oracle"):
            name = getattr(self.select, key)
            if name and name not in self._reported:
                message = f"no evaluator that runs during training reports '{name}'"
                help = [f"reported: {', '.join(sorted(self._reported)) or 'nothing'}"]
                raise self.recipe.error(("select", key), message, help=help)

    def _check_leak(self, leaked: set[str]) -> None:
        assert self.select is not None
        if leaked and not self.select.allow_hidden_labels:
            roles = ", ".join(sorted(leaked))
            message = f"'{self.select.metric}' reads the labels of '{roles}', which are hidden"
            help = ["select by a label-free metric, or set select.allow_hidden_labels = true (an oracle)"]
            raise self.recipe.error(PLACE, message, help=help)

    def improves(self, step: int, scalars: Mapping[str, float]) -> bool:
        """Whether `step` is the best so far; then it is remembered."""
        if self.select is None or self.select.metric not in scalars:
            return False
        value = scalars[self.select.metric]
        sign = 1 if self.select.mode == "max" else -1
        if not math.isfinite(value) or (self.best and sign * value <= sign * self.best["value"]):
            return False
        self.best = {"step": step, "value": value, "metric": self.select.metric}
        return True

    def oracle(self, history: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """The largest `select.oracle` among the evaluations of a run's history, as 'oracle <name>'."""
        name = self.select.oracle if self.select else None
        looks = [event["scalars"].get(name) for event in history if event["type"] == "evaluation"]
        values = [value for value in looks if value is not None]
        return {f"oracle {name}": max(values)} if values else {}

    def rule(self) -> dict[str, Any]:
        """How the reported step was found, for the results."""
        assert self.select is not None
        return {**self.best, "mode": self.select.mode, "oracle": self.select.allow_hidden_labels}
