"""Any evaluator once more, with other options of sampling: several samplers on one trained model."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, Any, ClassVar

from pluglab.components import Component, Options, Reference, named, table
from pluglab.protocols import (
    DataContext,
    Evaluation,
    EvaluationContext,
    HasSampling,
    Prepares,
    Samples,
    Traces,
)
from pluglab_diffusion.sampling import Sampling
from pluglab_metrics.roles import RoleData


class SampledWith:
    """Runs an evaluator while the model samples in another way, and times it.

    Its figures carry the name of this way, so that several ways of one trained model stand in one table.
    """

    class Config(Options):
        title: str = ""
        """What stands before each figure's name; by default the sampler and the number of steps."""
        evaluator: Annotated[Component, Reference("evaluator")] = named("generation_quality")
        """What to evaluate."""
        sampling: Sampling = table()
        """How images are drawn, all of it: what is not given has its default, not the recipe's."""

    needs: ClassVar[tuple[type, ...]] = (Samples, Traces)

    def __init__(self, config: Config) -> None:
        self.config, self.evaluator = config, config.evaluator.build()
        self.title = config.title or f"{config.sampling.sampler.name}_{config.sampling.steps}"

    def prepare(self, context: DataContext) -> None:
        """As the evaluator."""
        if isinstance(self.evaluator, Prepares):
            self.evaluator.prepare(context)

    def evaluate(self, trainer: Any, data: RoleData, context: EvaluationContext) -> Evaluation:
        """What the evaluator finds, and the scalar `seconds`: all that it took."""
        with sampling_as(trainer, self.config.sampling):
            began = time.perf_counter()
            found: Evaluation = self.evaluator.evaluate(trainer, data, context)
            seconds = time.perf_counter() - began
        return replace(
            found,
            scalars={self._titled(k): v for k, v in {**found.scalars, "seconds": seconds}.items()},
            figures={self._titled(k): v for k, v in found.figures.items()},
            tables={self._titled(k): v for k, v in found.tables.items()},
            headline=tuple(map(self._titled, found.headline)),
        )

    def _titled(self, name: str) -> str:
        return f"{self.title}_{name}"


@contextmanager
def sampling_as(trainer: HasSampling, sampling: Sampling) -> Iterator[None]:
    """The trainer samples in this way, inside."""
    before = trainer.sampling
    trainer.sampling = sampling
    try:
        yield
    finally:
        trainer.sampling = before
