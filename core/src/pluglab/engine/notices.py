"""Who is told what a run does: its history first, then the observers of the recipe, then plugins' hooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pluglab.engine.evaluation import Outcome
from pluglab.engine.rng_state import unchanged_random_state
from pluglab.plugins.loading import Plugins, left_out
from pluglab.protocols import RunInfo
from pluglab.storage.run_folder import RunFolder


class Notices:
    """Tells what happens to one run. An observer that fails is left out from there on, with a warning.

    Of several processes one is `active`; the others tell nobody.
    """

    def __init__(
        self, info: RunInfo, plugins: Plugins, observers: Sequence[Any] = (), *, active: bool = True
    ) -> None:
        self.info, self.plugins, self.active = info, plugins, active
        self.observers = list(observers) if active else []
        self.history = RunFolder(info.folder).history

    def run_started(self, step: int) -> None:
        if self.active:
            self.history.rewind(step)
        info = self.info
        self._record("run_started", step=step, variant=info.variant, seed=info.seed, steps=info.steps)
        self._tell("run_started", step=step)

    def step_logged(self, step: int, scalars: Mapping[str, float]) -> None:
        self._record("step", step=step, scalars=scalars)
        self._tell("step_logged", step=step, scalars=dict(scalars))

    def evaluated(self, outcome: Outcome, *, afterwards: bool = False) -> None:
        name, mark = outcome.use.label, {"afterwards": True} if afterwards else {}
        self._record("evaluation", name=name, **outcome.record(), **mark)
        if not afterwards:
            self._tell("evaluated", step=outcome.step, name=name, evaluation=outcome.evaluation)

    def health(self, step: int, message: str) -> None:
        self._record("health", step=step, message=message)
        self._tell("health", step=step, message=message)

    def checkpoint_saved(self, step: int, path: Path) -> None:
        self._record("checkpoint", step=step, file=path.name)
        self._tell("checkpoint_saved", step=step, path=path)

    def run_finished(self, status: str, results: Mapping[str, Any]) -> None:
        self._record("run_finished", status=status)
        self._tell("run_finished", status=status, results=results)

    def _record(self, kind: str, **values: Any) -> None:
        if self.active:
            self.history.append(kind, **values)

    def _tell(self, moment: str, **arguments: Any) -> None:
        """Whoever watches may draw random numbers: the training goes on as if nobody had."""
        if not self.active:
            return
        with unchanged_random_state():
            for observer in list(self.observers):
                method = getattr(observer, moment, None)
                try:
                    if method is not None:
                        method(self.info, **arguments)
                except (Exception, SystemExit) as error:
                    self.observers.remove(observer)
                    left_out(f"observer '{type(observer).__name__}'", moment, error)
            self.plugins.notify(f"lab_{moment}", run=self.info, **arguments)
