"""Any evaluator once more, with other options of sampling: several samplers on one trained model."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, Any, ClassVar

from pluglab.capabilities import HasSampling, Samples, can, words_of
from pluglab.components import Component, Options, Reference, dump_options, named, table
from pluglab.errors import UserError
from pluglab.evaluating import RoleData
from pluglab.protocols import Checks, DataContext, Evaluation, EvaluationContext, Prepares
from pluglab_diffusion.sampling import Sampling


class SampledWith:
    """Runs an evaluator while the model samples in another way, and times it.

    What it reports carries the name of this way, so that several ways of one trained model stand in one
    table.
    """

    class Config(Options):
        title: str = ""
        """What stands before each name; by default the sampler and the number of steps."""
        evaluator: Annotated[Component, Reference("evaluator")] = named("generation_quality")
        """What to evaluate."""
        sampling: Sampling = table()
        """How images are drawn, all of it: what is not given has its default, not the recipe's."""

    needs: ClassVar[tuple[type, ...]] = (Samples, HasSampling)

    def __init__(self, config: Config) -> None:
        self.config, self.evaluator = config, config.evaluator.build()
        self.title = config.title or f"{config.sampling.sampler.name}_{config.sampling.steps}"

    def prepare(self, context: DataContext) -> None:
        """As the evaluator."""
        if isinstance(self.evaluator, Prepares):
            self.evaluator.prepare(context)

    def check(self, trainer: Any, data: RoleData) -> Mapping[str, Collection[str]] | None:
        """What the evaluator reports, titled, and `seconds`; the model must be able to sample in this way,
        and to do what the evaluator needs."""
        self._check_trainer(trainer)
        with sampling_as(trainer, self.config.sampling):
            found = self.evaluator.check(trainer, data) if isinstance(self.evaluator, Checks) else None
        return None if found is None else {self._titled(k): v for k, v in {**found, "seconds": ()}.items()}

    def _check_trainer(self, trainer: Any) -> None:
        name = type(trainer).__name__
        if not isinstance(trainer.sampling, Sampling):
            other = type(trainer.sampling).__name__
            message = f"'sampled_with' knows the options of diffusion models, and {name} has {other}"
            help = ["leave 'sampled_with' out; `lab sample --set` changes its options"]
            raise UserError(message, help=help)
        for wanted in self.evaluator.needs:
            if not can(trainer, wanted):
                inner = self.config.evaluator.name
                message = f"evaluator '{inner}' needs a trainer that can {words_of(wanted)}; {name} cannot"
                raise UserError(message, help=["choose another `evaluator`"])

    def evaluate(self, trainer: Any, data: RoleData, context: EvaluationContext) -> Evaluation:
        """What the evaluator finds, and the scalar `seconds`: all that it took."""
        with sampling_as(trainer, self.config.sampling):
            began = time.perf_counter()
            found: Evaluation = self.evaluator.evaluate(trainer, data, self._inner(context))
            seconds = time.perf_counter() - began
        protocol = found.protocol or self.config.evaluator.dump()
        return replace(
            found,
            scalars={self._titled(k): v for k, v in {**found.scalars, "seconds": seconds}.items()},
            figures={self._titled(k): v for k, v in found.figures.items()},
            tables={self._titled(k): v for k, v in found.tables.items()},
            headline=tuple(map(self._titled, found.headline)),
            protocol={**protocol, "sampling": dump_options(self.config.sampling)},
            protocols={self._titled(k): v for k, v in found.protocols.items()},
            better={self._titled(k): v for k, v in {**found.better, "seconds": "min"}.items()},
        )

    def _inner(self, context: EvaluationContext) -> EvaluationContext:
        """The surroundings of the evaluator itself, which knows its figures by their own names."""
        return replace(context, earlier=lambda figure: context.earlier(self._titled(figure)))

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
