"""Who is told what a run does: its history first, then the observers of the recipe, then plugins' hooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from pluglab.ctrl_c import STRAY, let_ctrl_c_pass
from pluglab.engine.evaluation import Outcome
from pluglab.engine.rng_state import unchanged_random_state
from pluglab.plain import copied
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
        self.folder = RunFolder(info.folder)

    def run_started(self, step: int) -> None:
        if self.active:
            self.folder.history.rewind(step)
        info = self.info
        self._record("run_started", step=step, variant=info.variant, seed=info.seed, steps=info.steps)
        self._tell("run_started", step=step)

    def step_logged(self, step: int, scalars: Mapping[str, float]) -> None:
        self._record("step", step=step, scalars=scalars)
        self._tell("step_logged", step=step, scalars=scalars)

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
            self.folder.history.append(kind, **values)

    def _tell(self, moment: str, **arguments: Any) -> None:
        """Whoever watches has a copy of its own, and the training goes on as if nobody had."""
        if not self.active:
            return
        with _untouched():
            for observer in list(self.observers):
                method = getattr(observer, moment, None)
                try:
                    if method is not None:
                        method(copied(self.info), **copied(arguments))
                except STRAY as error:
                    let_ctrl_c_pass(error)
                    self.observers.remove(observer)
                    left_out(f"observer '{type(observer).__name__}'", moment, self.info, error)
            self.plugins.notify(f"lab_{moment}", run=self.info, **arguments)


@contextmanager
def _untouched() -> Iterator[None]:
    """Whatever is done inside, torch is afterwards as it was."""
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    try:
        with unchanged_random_state(), torch.set_grad_enabled(torch.is_grad_enabled()):
            yield
    finally:
        torch.set_default_dtype(dtype)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
