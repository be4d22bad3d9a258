"""The training loop: steps, logs, evaluations, checkpoints, signals. It knows no method."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from pluglab.data.batches import Stream, derived_seed
from pluglab.data.run_data import Material
from pluglab.engine import evaluation as evaluations
from pluglab.engine.findings import Health
from pluglab.engine.hardware import LabFabric
from pluglab.engine.meters import Clock, Meter
from pluglab.engine.rng_state import random_state, restore_random_state, seed_everything
from pluglab.engine.selection import Selector
from pluglab.engine.signals import Signals
from pluglab.errors import RunError
from pluglab.plugins.loading import Plugins
from pluglab.protocols import Diagnoses, Evaluation, EvaluationContext, Progress
from pluglab.recipe.recipe import EvaluatorUse, Recipe
from pluglab.storage.checkpoints import Checkpoints, check_identity
from pluglab.storage.history import read_history
from pluglab.storage.run_folder import CHECKPOINTS
from pluglab.storage.run_info import RunInfo, figures_at

FORMAT = 1


class Engine:
    """One run: a recipe's trainer on its material, from its newest checkpoint or from the start."""

    def __init__(
        self,
        recipe: Recipe,
        material: Material,
        plugins: Plugins,
        fabric: LabFabric,
        info: RunInfo,
        cache: Path,
    ) -> None:
        self.recipe, self.material, self.plugins, self.fabric = recipe, material, plugins, fabric
        self.info, self.cache = info, cache
        self.total = info.steps
        self.checkpoints = Checkpoints(info.folder / CHECKPOINTS)
        self.meter, self.clock, self.health = Meter(), Clock(), Health()
        self.step = 0
        self.selector = Selector(recipe, material.hidden())
        self.labels_read: set[str] = set()
        self.headline: list[str] = []
        self.signals = Signals()
        self.observed = True
        self._mark = (0, 0.0)
        self._build()

    def _build(self) -> None:
        options, choice = self.recipe.options, self.fabric.choice
        seed_everything(derived_seed("init", self.recipe.seed))
        self.trainer = options.trainer.build(self.material.specs())
        self.trainer.setup(self.fabric)
        evaluations.set_mode(self.trainer, "train")
        if self.fabric.global_rank:  # same weights everywhere, other noise
            torch.manual_seed(derived_seed("rank", self.recipe.seed, self.fabric.global_rank))
        self.streams = {
            role: Stream(
                images,
                role,
                seed=self.recipe.seed,
                batch_size=options.batch_size,
                device=self.fabric.device,
                transforms=self.material.transforms[role],
                channels_last=choice.channels_last,
                rank=self.fabric.global_rank,
                world_size=self.fabric.world_size,
            )
            for role, images in self.material.training().items()
        }
        self.data = self.material.evaluation(self.fabric.device, choice.channels_last, self.labels_read)

    # State ----------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "identity": self.recipe.identity(),
            "step": self.step,
            "trainer": self.trainer.state_dict(),
            "random": random_state(),
            "best": self.selector.best,
            "meter": {"sums": self.meter.sums, "counts": self.meter.counts},
            "seconds": self.clock.seconds,
            "health": sorted(self.health.lasting),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a saved state. Raises `UserError` if it is another experiment's."""
        check_identity(state, self.recipe.identity(), self.info.folder)
        self.trainer.load_state_dict(state["trainer"])
        self.step, self.selector.best = state["step"], dict(state["best"])
        sums = {name: value.to(self.fabric.device) for name, value in state["meter"]["sums"].items()}
        self.meter = Meter(sums, dict(state["meter"]["counts"]))
        self.clock.seconds = dict(state["seconds"])
        self.health = Health(state.get("health", ()))
        restore_random_state(state["random"])

    def resume(self) -> bool:
        """Go to the newest whole checkpoint; False where there is none."""
        found = self.checkpoints.latest()
        if found is not None:
            self.load_state_dict(found[1])
        return found is not None

    def save(self) -> None:
        """Write a checkpoint of this step. Never one of a model that has gone wrong."""
        self._check_finite(self.meter.means())
        if self.fabric.is_global_zero:
            path = self.checkpoints.save(self.state_dict(), self.step, keep=self.selector.best.get("step"))
            self.notify("lab_checkpoint_saved", step=self.step, path=path)
        self.fabric.barrier()

    # The loop -------------------------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        """Train to the last step, then evaluate. Returns the results. Raises `InterruptedRunError` after
        saving on a signal, `RunError` when a loss is no longer finite."""
        self.notify("lab_run_started", step=self.step)
        self._mark = (self.step, self.clock.seconds.get("training", 0.0))
        with self.signals.caught():
            while self.step < self.total:
                self._train_until(self._next_stop())
                self._after_steps()
            return self._results()

    def _train_until(self, stop: int) -> None:
        with self.clock.spent("training"):
            while self.step < stop and self.signals.received is None:
                batch = {role: stream.batch(self.step) for role, stream in self.streams.items()}
                self.meter.add(self.trainer.step(batch, Progress(self.step, self.total)))
                self.step += 1

    def _next_stop(self) -> int:
        """The next step after which something other than training is due."""
        options = self.recipe.options
        periods = [options.log_every, options.checkpoint_every]
        periods += [use.every for use in self.recipe.evaluators if use.every]
        return min(self.total, *((self.step // period + 1) * period for period in periods))

    def _after_steps(self) -> None:
        """What is due after this step; a signal ends the run only then, so that a resume misses nothing."""
        options, last = self.recipe.options, self.step == self.total
        if self.step % options.log_every == 0 or last:
            self._log()
        improved = not last and self._evaluate_due()
        stopping = self.signals.received is not None
        if last or improved or stopping or self.step % options.checkpoint_every == 0:
            self.save()
        self.signals.check(f"after step {self.step} of {self.total}")

    def _log(self) -> None:
        scalars = self.meter.means()
        self._check_finite(scalars)
        self.meter.reset()
        speed = self._speed()
        extra = {"speed/images_per_s": speed} if speed else {}
        self.notify("lab_step_logged", step=self.step, scalars={**scalars, **extra})
        if isinstance(self.trainer, Diagnoses):
            self._warn(self.health.news(self.trainer.diagnose(scalars)))

    def _warn(self, messages: Iterable[str]) -> None:
        for message in messages:
            self.notify("lab_health", step=self.step, message=message)

    def _speed(self) -> float:
        """Images a second of training, over all roles, since the log before."""
        seconds = self.clock.seconds.get("training", 0.0)
        step_before, seconds_before = self._mark
        self._mark = (self.step, seconds)
        images = (self.step - step_before) * self.recipe.options.batch_size * len(self.streams)
        return images / (seconds - seconds_before) if seconds > seconds_before else 0.0

    def _check_finite(self, scalars: Mapping[str, float]) -> None:
        wrong = [name for name, value in scalars.items() if not math.isfinite(value)]
        if wrong:
            names = ", ".join(f"'{name}'" for name in wrong)
            message = f"{names} became NaN or infinite at or before step {self.step}"
            remedy = "a lower learning rate is the usual remedy; or `--set run.precision=32`"
            self._warn([f"{names} became NaN or infinite; {remedy}"])
            raise RunError(message, help=[remedy])

    # Evaluation -----------------------------------------------------------------------------------

    def _evaluate_due(self) -> bool:
        """Run the evaluators whose turn it is; True if the selected metric has improved."""
        due = [use for use in self.recipe.evaluators if use.every and self.step % use.every == 0]
        scalars: dict[str, float] = {}
        for use in due:
            scalars |= self._evaluate(use, figures_at(self.info.folder, self.step)).scalars
        return self.selector.improves(self.step, scalars)

    def _evaluate(self, use: EvaluatorUse, folder: Path) -> Evaluation:
        self.labels_read.clear()
        context = EvaluationContext(
            use.label,
            self.step,
            self.total,
            derived_seed("evaluation", self.recipe.seed, use.label),
            self.info.folder,
            folder,
            self.cache,
            read_history(self.info.folder / "metrics.jsonl"),
            self.fabric.device,
        )
        evaluator = self.material.library.evaluator(use.component)
        place = ("evaluate", self.recipe.evaluators.index(use), "name")
        with self.clock.spent("evaluation"), self.recipe.blamed(place):
            evaluation = evaluations.evaluate(evaluator, self.trainer, self.data, context)
        self.selector.hear(use, evaluation.scalars, self.labels_read)
        self.notify("lab_evaluated", step=self.step, name=use.label, evaluation=evaluation)
        return evaluation

    def _results(self) -> dict[str, Any]:
        """Evaluate the last step, and the selected one if it is another; the reported figures are its."""
        results = {"step": self.step, "scalars": self.evaluate_all(self.info.folder / "figures")}
        if self.recipe.options.select is not None:
            results = self._selected(results)
        results["headline"] = self.headline
        return {**results, "seconds": {k: round(v, 2) for k, v in self.clock.seconds.items()}}

    def _selected(self, last: dict[str, Any]) -> dict[str, Any]:
        selector, folder = self.selector, self.info.folder / "figures" / "selected"
        selector.improves(self.total, last["scalars"])
        chosen, best = last, selector.best.get("step", self.total)
        if best != self.total and (found := self.checkpoints.at(best)):
            self.trainer.load_state_dict(found[1]["trainer"])
            self.step = best
            chosen = {"step": self.step, "scalars": self.evaluate_all(folder)}
        oracle = selector.oracle(read_history(self.info.folder / "metrics.jsonl"))
        self.headline += oracle
        scalars = {**chosen["scalars"], **oracle}
        return {**chosen, "scalars": scalars, "selected_by": selector.rule(), "last": last}

    def evaluate_all(self, folder: Path) -> dict[str, float]:
        """Run every evaluator on the trainer as it is. Returns their scalars."""
        scalars: dict[str, float] = {}
        self.headline = []
        for use in self.recipe.evaluators:
            self.signals.check("while evaluating")
            evaluation = self._evaluate(use, folder)
            scalars |= evaluation.scalars
            self.headline += evaluation.headline
        return scalars

    def notify(self, hook: str, **arguments: Any) -> None:
        """Tell the plugins, from one process."""
        if self.observed and self.fabric.is_global_zero:
            self.plugins.notify(hook, run=self.info, **arguments)
