"""Any evaluator once more, with other options of sampling: several ways to sample from one trained model."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel

from pluglab.capabilities import HasSampling, Samples
from pluglab.components import Component, Deferred, Options, Reference, dump_options, named, table
from pluglab.errors import UserError
from pluglab.evaluating import RoleData
from pluglab.protocols import DataContext, Evaluation, EvaluationContext
from pluglab_metrics.titled import Titled


class SampledWith:
    """Runs an evaluator while the model samples in another way, and times it.

    What it reports carries the name of this way, so that several ways of one trained model stand in one
    table. Which options of sampling there are the trainer says.
    """

    class Config(Options):
        title: str = ""
        """What stands before each name; by default the options of `sampling` that are given."""
        evaluator: Annotated[Component, Reference("evaluator")] = named("generation_quality")
        """What to evaluate."""
        sampling: Deferred = table()
        """How images are drawn, all of it: the trainer's own options of sampling. What is not given has its
        default, not the recipe's."""

    needs: ClassVar[tuple[type, ...]] = (Samples, HasSampling)

    def __init__(self, config: Config) -> None:
        self.config, self.inner = config, Titled(config.evaluator)
        self.title = config.title or title_of(config.sampling.table)

    def prepare(self, context: DataContext) -> None:
        """As the evaluator."""
        self.inner.prepare(context)

    def check(self, trainer: Any, data: RoleData) -> Mapping[str, Collection[str]] | None:
        """What the evaluator reports, titled, and `seconds`; the model must be able to sample in this way,
        and to do what the evaluator needs."""
        with sampling_as(trainer, self._sampling(trainer)):
            found = self.inner.check(self.title, trainer, data, type(trainer).__name__)
        return None if found is None else {**found, self._seconds: ()}

    def evaluate(self, trainer: Any, data: RoleData, context: EvaluationContext) -> Evaluation:
        """What the evaluator finds, and the scalar `seconds`: all that it took."""
        sampling = self._sampling(trainer)
        with sampling_as(trainer, sampling):
            began, options = time.perf_counter(), dump_options(sampling)
            found = self.inner.evaluate(self.title, trainer, data, context, sampling=options)
            seconds = time.perf_counter() - began
        return replace(
            found,
            scalars={**found.scalars, self._seconds: seconds},
            better={**found.better, self._seconds: "min"},
        )

    @property
    def _seconds(self) -> str:
        return f"{self.title}_seconds"

    def _sampling(self, trainer: HasSampling) -> BaseModel:
        """The options as the trainer has them. Raises `RecipeError` for those that it does not have."""
        own, name = type(trainer.sampling), type(trainer).__name__
        if not issubclass(own, BaseModel):
            raise UserError(
                f"{name} keeps its options of sampling as {own.__name__}, and can be given no others",
                help=["leave 'sampled_with' out, or make them `Options`"],
            )
        return self.config.sampling.resolve(own, f"the options of sampling of {name}")


def title_of(table: Mapping[str, Any]) -> str:
    """A title made of options: {sampler = "ddim", steps = 50} is 'ddim_50', {steps = 4} 'steps_4'.

    Words stand for themselves, and so do numbers after a word; before other values stands the option's name.
    """
    parts: list[str] = []
    for name, value in table.items():
        value = value.get("name", "") if isinstance(value, Mapping) else value
        word = isinstance(value, str) and value.isidentifier()
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        alone = word or (number and parts != [])
        parts += [str(value)] if alone else [name, str(value)] if number else [name]
    return "_".join(parts) or "default"


@contextmanager
def sampling_as(trainer: HasSampling, sampling: BaseModel) -> Iterator[None]:
    """The trainer samples in this way, inside."""
    before = trainer.sampling
    trainer.sampling = sampling
    try:
        yield
    finally:
        trainer.sampling = before
