"""An evaluator within another one: what it reports carries a title."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from pluglab.capabilities import can, words_of
from pluglab.components import Component
from pluglab.errors import UserError
from pluglab.evaluating import RoleData
from pluglab.protocols import Checks, DataContext, Evaluation, EvaluationContext, Prepares

Promise = Mapping[str, Collection[str]]


class Titled:
    """The evaluator of a component. Names of its scalars, figures and tables begin with `title` and '_'."""

    def __init__(self, component: Component) -> None:
        self.component, self.evaluator = component, component.build()

    def prepare(self, context: DataContext) -> None:
        """As the evaluator."""
        if isinstance(self.evaluator, Prepares):
            self.evaluator.prepare(context)

    def check(self, title: str, trainer: Any, data: RoleData, who: str) -> Promise | None:
        """What it will report, titled; None where it does not say. `who` is in words what it looks at.

        Raises `UserError` where that cannot do what the evaluator needs.
        """
        for wanted in self.evaluator.needs:
            if not can(trainer, wanted):
                message = f"evaluator '{self.component.name}' needs a trainer that can {words_of(wanted)}"
                raise UserError(f"{message}; {who} cannot", help=["choose another `evaluator`"])
        if not isinstance(self.evaluator, Checks):
            return None
        found = self.evaluator.check(trainer, data)
        return None if found is None else _titled(title, found)

    def evaluate(
        self, title: str, trainer: Any, data: RoleData, context: EvaluationContext, **protocol: Any
    ) -> Evaluation:
        """What it finds, titled. `protocol` is added to its own, or to its options where it has none."""
        inner = replace(context, earlier=lambda figure: context.earlier(f"{title}_{figure}"))
        found: Evaluation = self.evaluator.evaluate(trainer, data, inner)
        return replace(
            found,
            scalars=_titled(title, found.scalars),
            figures=_titled(title, found.figures),
            tables=_titled(title, found.tables),
            headline=tuple(f"{title}_{name}" for name in found.headline),
            protocol={**(found.protocol or self.component.dump()), **protocol},
            protocols=_titled(title, found.protocols),
            better=_titled(title, found.better),
        )


def _titled(title: str, found: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{title}_{name}": value for name, value in found.items()}
