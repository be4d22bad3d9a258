"""The training loop: steps, logs, evaluations, checkpoints, signals. It knows no method."""

from __future__ import annotations

import math
import shutil
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from pluglab.capabilities import Diagnoses, can
from pluglab.data.batches import Stream
from pluglab.data.evaluation_data import Evaluated
from pluglab.data.run_data import RunData
from pluglab.data.whole_batch import whole_batch
from pluglab.engine import first_step
from pluglab.engine.evaluation import (
    CrashError,
    Look,
    Outcome,
    check_promise,
    earlier_figures,
    evaluate,
    look,
    together,
)
from pluglab.engine.hardware import LabFabric
from pluglab.engine.initial_weights import differences
from pluglab.engine.meters import Clock, Health, Meter
from pluglab.engine.notices import Notices
from pluglab.engine.rng_state import (
    random_state,
    random_states,
    restore_random_state,
    seed_everything,
)
from pluglab.engine.selection import Promises, Selector, Taint, visible_history
from pluglab.engine.signals import Agreement, Signals, interrupted
from pluglab.errors import RunError, UserError
from pluglab.plain import plain
from pluglab.plugins.returned import check_findings, check_logs
from pluglab.protocols import Batch, EvaluationContext, Progress, RunInfo, Trainer
from pluglab.recipe.layers import leaves_of
from pluglab.recipe.recipe import EvaluatorUse, Recipe
from pluglab.seeds import derived_seed
from pluglab.storage.checkpoints import Checkpoints, has_nan
from pluglab.storage.run_folder import FORMAT, RunFolder, resuming
from pluglab.storage.saving import Saving
from pluglab.training.accumulation import Accumulation
from pluglab.training.optimizers import Settings, change_settings, settings_of
from pluglab.training.trainer import learning_rates, modules_of, optimizers_of, set_mode

UNSAVED = 1 << 16
"""Above all numbers of signals: a checkpoint that cannot be written ends the training as well."""
SHOWN = 3  # differences that an error names


class Engine:
    """One run: a recipe's trainer on its data, from its newest checkpoint or from the start.

    `promises` is what the evaluators have said they will report; `identity` is the run's, and `start` says
    what its weights were at first, where it is not the seed that made them.
    """

    def __init__(
        self,
        recipe: Recipe,
        run_data: RunData,
        fabric: LabFabric,
        info: RunInfo,
        *,
        promises: Promises,
        identity: str,
        notices: Notices,
        start: Mapping[str, Any] = {},
    ) -> None:
        self.recipe, self.data, self.fabric, self.info = recipe, run_data, fabric, info
        self.identity, self.promises, self.notices, self.start = identity, promises, notices, start
        self.folder, self.total = RunFolder(info.folder), info.steps
        self.checkpoints = Checkpoints(self.folder.checkpoints, recipe.options.run.keep_every)
        self.saving = Saving(self.checkpoints, self._before_checkpoint)
        self.meter, self.clock, self.health = Meter(), Clock(), Health()
        self.step, self.total_was_read = 0, False
        self.selector, self.signals = Selector(recipe, run_data.hidden(), promises), Signals()
        self.taint = Taint(_hashes_of(run_data), promises)
        self.apart: Callable[[EvaluatorUse, Path], Look] | None = None
        self._mark = (0, 0.0)
        self.agreement, self.halted = Agreement(fabric.world_size), 0
        fabric.begin()
        self.trainer = self._build()
        self.streams = self._streams()

    def _build(self) -> Trainer:
        seed_everything(derived_seed("init", self.recipe.seed))
        trainer: Trainer = self.recipe.options.trainer.build(self.data.specs())
        trainer.setup(self.fabric)
        set_mode(trainer, "train")
        if self.fabric.global_rank and not self._draws_alike():  # same weights everywhere, other noise
            torch.manual_seed(derived_seed("rank", self.recipe.seed, self.fabric.global_rank))
        return trainer

    def _streams(self) -> dict[str, Stream]:
        device, layout = self.fabric.device, self.fabric.hardware.channels_last
        return {
            role: Stream(
                images,
                role,
                seed=self.recipe.seed,
                batch_size=self.recipe.options.batch_size,
                device=device,
                transforms=self.data.transforms[role],
                rank=self.fabric.global_rank,
                world_size=self.fabric.world_size,
                array=self.data.arrays.of(role, "train", images, device, channels_last=layout),
            )
            for role, images in self.data.training().items()
        }

    # State ----------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "identity": self.identity,
            "recipe": self.recipe.to_dict(),
            "start": plain(dict(self.start)),
            "step": self.step,
            "trainer": self.trainer.state_dict(),
            "random": random_state(),
            "selector": self.selector.state_dict(),
            "meter": {"sums": self.meter.sums, "counts": self.meter.counts},
            "seconds": self.clock.seconds,
            "health": sorted(self.health.active),
            "total_was_read": self.total_was_read,
            "scaler": {} if self.fabric.scaler is None else self.fabric.scaler.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a saved state."""
        self.trainer.load_state_dict(state["trainer"])
        self.step, self.total_was_read = state["step"], state["total_was_read"]
        self.selector.load_state_dict(state["selector"])
        sums = {name: value.to(self.fabric.device) for name, value in state["meter"]["sums"].items()}
        self.meter = Meter(sums, dict(state["meter"]["counts"]))
        self.clock.seconds = dict(state["seconds"])
        self.health = Health(state["health"])
        if self.fabric.scaler is not None and state["scaler"]:
            self.fabric.scaler.load_state_dict(state["scaler"])
        self._go_on_drawing([state["random"], *state.get("random_of_others", [])])

    def _go_on_drawing(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Each process takes up the random state that it had; one that is new begins one of its own."""
        rank = 0 if self._draws_alike() else self.fabric.global_rank
        if rank < len(states):
            restore_random_state(states[rank])
        else:
            seed_everything(derived_seed("rank", self.recipe.seed, rank, self.step))

    def resume(self) -> bool:
        """Go to the newest whole checkpoint whose numbers are numbers; False where there is none. Raises
        `UserError` if all are another experiment's."""
        state = None
        for file, state in self.checkpoints.whole():
            if has_nan(state["trainer"]):
                warnings.warn(f"checkpoint passed over: {file.path.name} holds NaN", stacklevel=2)
            elif state["identity"] == self.identity:
                self.load_state_dict(state)
                return True
        if state is not None and not has_nan(state["trainer"]):
            check_identity(state, {self.identity}, self.info.folder)
        return False

    def go_on_from(self, state: Mapping[str, Any], before: Recipe) -> None:
        """Take up a state that was saved under other options: what the present ones change of an optimizer
        counts from here on. Raises `UserError` where the networks are others, before anything is written."""
        now = {name: settings_of(one) for name, one in optimizers_of(self.trainer).items()}
        old: dict[str, Settings] = {
            name: settings_of(one)
            for name, one in optimizers_of(before.options.trainer.build(self.data.specs())).items()
        }
        differing = differences(state["trainer"], self.trainer.state_dict())
        try:
            self.load_state_dict(state)
        except (RuntimeError, KeyError, ValueError) as error:
            what = "; ".join(differing[:SHOWN]) or str(error).partition("\n")[0]
            help = ["`lab run RECIPE --init RUN` starts anew with the weights that fit"]
            message = f"the checkpoint does not fit the changed options: {what}"
            raise UserError(message, help=help) from error
        for name, optimizer in optimizers_of(self.trainer).items():
            if name in old and len(old[name]) == len(now[name]):
                change_settings(optimizer, old[name], now[name])

    def save(self, *, wait: bool = True) -> None:
        """Save this step: on the disk at the end, or else while the training goes on.

        Never a model that has gone wrong.
        """
        self._check_sound()
        random = random_states(self.fabric.world_size)
        if self.fabric.is_global_zero:
            self._tell_saved(wait=True)
            state = {**self.state_dict(), "random_of_others": random[1:]}
            self.saving.begin(state, self.step, keep=self.selector.best.get("step"))
            self._tell_saved(wait=wait)
        self.fabric.barrier()

    def _before_checkpoint(self) -> None:
        """In the thread that writes: what a resumed run will not do again is on the disk before."""
        self.folder.check_there()
        self.folder.history.sync()

    def _tell_saved(self, *, wait: bool = False) -> None:
        """Tell of a checkpoint that has got to the disk. Raises what has kept one from it."""
        if saved := self.saving.saved(wait=wait):
            self.notices.checkpoint_saved(*saved)

    @contextmanager
    def _saving(self) -> Iterator[None]:
        """Whatever ends the training waits for what is being written; a failure of both is told of both."""
        try:
            yield
            self._tell_saved(wait=True)
        except BaseException:
            try:
                self._tell_saved(wait=True)
            except RunError as error:
                self.notices.health(self.step, error.message)
            raise
        finally:
            self.saving.close()

    # The loop -------------------------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        """Train to the last step, then evaluate. Returns the results. Raises `InterruptedRunError` after
        saving on a signal, `RunError` when a loss is no longer finite."""
        self.notices.run_started(self.step)
        self._mark = (self.step, self.clock.seconds.get("training", 0.0))
        with self.signals.caught(), self._saving():
            while not self._is_over():
                self._train_until(self._next_stop())
                self._after_steps()
            return self._results()

    def _is_over(self) -> bool:
        return self.step >= self.total or self.selector.exhausted

    def _train_until(self, stop: int) -> None:
        """At least one step, so that what is due after a step is never done twice."""
        with self.clock.spent("training"):
            self._step()
            if self.step == 1:
                self._check_finite(self.meter.means())
            while self.step < stop and not self._halts():
                self._step()

    def _step(self) -> None:
        batch = {role: stream.batch(self.step) for role, stream in self.streams.items()}
        progress = Progress(self.step, self.total)
        with self.fabric.batch(), self._look(batch):
            for part in self._parts(batch):
                with self._whole(part):
                    logs = self.trainer.step(part, progress)
                check_logs(self.trainer, logs)
                self.meter.add({**logs, **self._gradient_norms()})
        self.total_was_read |= progress.total_was_read
        self.step += 1

    def _draws_alike(self) -> bool:
        """Whether several processes draw what one would: not what compiled networks draw, nor for shares of
        unequal size."""
        options, processes = self.recipe.options, self.fabric.world_size
        equal = options.batch_size % (processes * options.gradient_accumulation_steps) == 0
        return equal and not self.fabric.hardware.compile

    def _whole(self, part: Mapping[str, Batch]) -> AbstractContextManager[None]:
        """What is around a step of a trainer, so that several processes make the step of one."""
        if self.fabric.world_size == 1 or not self._draws_alike():
            return nullcontext()
        rows = len(next(iter(part.values())).images)
        return whole_batch(self.fabric.global_rank, self.fabric.world_size, rows)

    def _look(self, batch: Mapping[str, Batch]) -> AbstractContextManager[None]:
        """What is around a step: nothing, but for the first."""
        if self.step:
            return nullcontext()
        tell, scaled = partial(self.notices.health, 1), self.fabric.scaler is not None
        return first_step.looked_at(self.trainer, batch, tell, scaled=scaled)

    def _halts(self) -> bool:
        """Whether to stop before the next step, in which all processes agree."""
        wanted = self.signals.received or (UNSAVED if self.saving.failed else 0)
        self.halted = self.agreement.of_last_time(wanted)
        return bool(self.halted)

    def _stops(self) -> bool:
        """Whether a signal has come to any process. Raises `RunError` where the one that saves cannot."""
        self.halted = max(self.halted, self.agreement.now(self.signals.received or 0))
        if self.halted == UNSAVED:
            raise RunError("the checkpoint could not be written by the process that writes it")
        return bool(self.halted)

    def _parts(self, batch: Mapping[str, Batch]) -> Iterator[Mapping[str, Batch]]:
        """The batch in one part, or in those whose gradients add up to a step."""
        options = self.recipe.options
        parts = options.gradient_accumulation_steps
        for part in range(parts):
            norms: dict[str, Tensor] | None = {} if options.run.gradient_norms else None
            self.fabric.accumulation = Accumulation(part, parts, options.max_grad_norm, norms=norms)
            yield batch if parts == 1 else {role: _part(one, part, parts) for role, one in batch.items()}

    def _gradient_norms(self) -> Mapping[str, Tensor]:
        """Those of the step just done, where the recipe asks for them."""
        found = self.fabric.accumulation.norms or {}
        if self.fabric.scaler is None:
            return found
        return {name: norm for name, norm in found.items() if norm.isfinite()}  # else fp16 left the step out

    def _next_stop(self) -> int:
        """The next step after which something other than training is due."""
        options = self.recipe.options
        periods = [options.log_every, options.checkpoint_every]
        periods += [options.run.keep_every] if options.run.keep_every else []
        periods += [use.every for use in self.recipe.evaluators if use.every]
        return min(self.total, *((self.step // period + 1) * period for period in periods))

    def _after_steps(self) -> None:
        """What is due after this step; a signal ends the run only then, so that a resume misses nothing."""
        if self.fabric.is_global_zero:
            self.folder.check_there()
        self._tell_saved()
        options = self.recipe.options
        if self.step % options.log_every == 0 or self.step == self.total:
            self._log()
        improved = self.step < self.total and self.evaluate_due()
        stopping = self._stops()
        if self.selector.exhausted:
            self._end_early()
        periods = options.checkpoint_every, options.run.keep_every
        due = any(self.step % period == 0 for period in periods if period)
        if due or improved or stopping or self._is_over():
            self.save(wait=stopping or self._is_over())
        if stopping:
            raise interrupted(self.halted, f"after step {self.step} of {self.total}")

    def _end_early(self) -> None:
        if self.step % self.recipe.options.log_every:
            self._log()
        best, looks = self.selector.best, self.selector.looks_since
        found = f"no better '{best.get('metric')}' in {looks} looks than that of step {best.get('step')}"
        self.notices.health(self.step, f"stopped early: {found}")

    def _log(self) -> None:
        scalars = self.meter.means()
        self._check_finite(scalars)
        self.meter.reset()
        speed = self._speed()
        extra = {"speed/images_per_s": speed} if speed else {}
        self.notices.step_logged(self.step, {**scalars, **learning_rates(self.trainer), **extra})
        for message in self.health.new_findings(self._findings(scalars)):
            self.notices.health(self.step, message)

    def _findings(self, scalars: Mapping[str, float]) -> Iterator[str]:
        """What is wrong, as the trainer sees it, and as the scale of fp16's losses shows it."""
        if can(self.trainer, Diagnoses):
            yield from check_findings(self.trainer, cast(Diagnoses, self.trainer).diagnose(scalars))
        scaler = self.fabric.scaler
        if scaler is not None and (scale := scaler.get_scale()) < 1:
            yield (
                f"the scale of losses in fp16 has fallen to {scale:.2g}: steps are being left out, as their "
                "gradients are not finite; set run.precision to 'bf16' or '32', or lower the learning rate"
            )

    def _speed(self) -> float:
        """Images a second of training, over all roles, since the log before."""
        seconds = self.clock.seconds.get("training", 0.0)
        step_before, seconds_before = self._mark
        self._mark = (self.step, seconds)
        images = (self.step - step_before) * self.recipe.options.batch_size * len(self.streams)
        return images / (seconds - seconds_before) if seconds > seconds_before else 0.0

    def _check_sound(self) -> None:
        """Raises `RunError` where what has been metered is not finite, or the weights are no longer."""
        largest = {
            f"the weights of {name}": get_total_norm(network.parameters(), math.inf).item()
            for name, network in modules_of(self.trainer).items()
        }
        self._check_finite({**self.meter.means(), **largest})

    def _check_finite(self, scalars: Mapping[str, float]) -> None:
        wrong = [name for name, value in scalars.items() if not math.isfinite(value)]
        if wrong:
            names = ", ".join(f"'{name}'" for name in wrong)
            what = f"{names} became NaN or infinite"
            self.notices.health(self.step, f"{what}; a lower learning rate is the usual remedy")
            raise RunError(f"{what} at or before step {self.step}", help=self._remedies())

    def _remedies(self) -> list[str]:
        """Commands that go on with this run from its last good checkpoint."""
        table = self.recipe.to_dict()["trainer"]
        leaves = leaves_of(table, lambda path: "", ("trainer",))
        rates = {key: value for key, value, _ in leaves if key.endswith(".lr") and isinstance(value, float)}
        sets = [f"--set {key}={value / 10:g}" for key, value in rates.items()]
        self._tell_saved(wait=True)
        steps = self.checkpoints.steps()
        words = f"from step {steps[-1]}" if steps else "from the start"
        resume = resuming(self.info.folder)
        remedies = [f"go on {words} at a lower rate: {resume} {' '.join(sets)}"] if sets else []
        if self.fabric.hardware.precision != "32":
            remedies.append(f"go on {words} in float32: {resume} --set run.precision=32")
        return remedies

    # Evaluation -----------------------------------------------------------------------------------

    def evaluate_due(self) -> bool:
        """Run the evaluators whose turn it is; True if the selected metric has improved."""
        due = [use for use in self.recipe.evaluators if use.every and self.step % use.every == 0]
        if due:
            self._check_sound()
        with self.look():
            outcomes = [self._outcome(use) for use in due]
        found = together([outcome for outcome in outcomes if outcome is not None])
        return self.selector.improves(self.step, found["scalars"], found["tainted"])

    def _outcome(self, use: EvaluatorUse) -> Outcome | None:
        """What an evaluator finds during the training; nothing of one that crashes in a process of its own,
        which is told. At the end of the training it fails the run."""
        try:
            return self.evaluate(use, self.folder.figures(self.step))
        except CrashError as crash:
            self.notices.health(self.step, crash.message)
            return None

    def look(self) -> AbstractContextManager[None]:
        """Around evaluations of the trainer as it is: see `evaluation.look`."""
        return look(self.trainer, self.fabric.device)

    def evaluate(self, use: EvaluatorUse, folder: Path, *, afterwards: bool = False) -> Outcome:
        """Run one evaluator on the trainer as it is; its pictures go into `folder`."""
        with self.clock.spent("evaluation"):
            find = self.find if self.apart is None else self.apart
            found, figures, labels_read = find(use, folder)
        hashes = self.data.recorded.hashes
        read = {role: hashes[role].values() for role in labels_read}
        everything = self._sees_everything(use)
        history = self.folder.history.training()
        seen = [event for event in history if everything or event.get("name") == use.label]
        tainted = self.taint.of(use, found.scalars, read, seen)
        outcome = Outcome(use, self.step, found, tainted, figures)
        if not afterwards:
            self.selector.observe(use, found.scalars, tainted.scalars)
            outcome = replace(outcome, names=self.selector.names(use, found.scalars))
        self.notices.evaluated(outcome, afterwards=afterwards)
        return outcome

    def _sees_everything(self, use: EvaluatorUse) -> bool:
        """Whether an evaluator is shown what others found, as it has said that it reports no scores."""
        promise = self.promises.get(use.label)
        return promise is not None and not promise

    def find(self, use: EvaluatorUse, folder: Path) -> Look:
        """What an evaluator finds, which is noted nowhere yet."""
        evaluated = Evaluated(self.fabric.device, self.fabric.hardware.channels_last)
        evaluator = self.data.cache.evaluator(use.component)
        history, everything = self.folder.history.training(), self._sees_everything(use)
        context = EvaluationContext(
            label=use.label,
            step=self.step,
            steps=self.total,
            seed=derived_seed("evaluation", self.recipe.seed, use.label),
            run_seed=self.recipe.seed,
            run=self.info.folder,
            folder=folder,
            cache=self.data.cache.context.cache,
            history=visible_history(history, use.label, everything=everything),
            device=self.fabric.device,
            earlier=partial(earlier_figures, history, self.info.folder, use.label, self.step),
        )
        place = ("evaluate", self.recipe.evaluators.index(use), "name")
        with self.recipe.error_location(place):
            found, figures = evaluate(evaluator, self.trainer, self.data.evaluation(evaluated), context)
            check_promise(evaluator, self.promises.get(use.label), found)
        return found, figures, sorted(evaluated.labels_read)

    def evaluate_all(self, folder: Path, *, afterwards: bool = False) -> dict[str, Any]:
        """Run every evaluator on the trainer as it is. Returns what results.json holds of one step."""
        outcomes = []
        with self.look():
            for use in self.recipe.evaluators:
                if self._stops():
                    raise interrupted(self.halted, "while evaluating")
                outcomes.append(self.evaluate(use, folder, afterwards=afterwards))
        return {"step": self.step, **together(outcomes)}

    def _results(self) -> dict[str, Any]:
        """Evaluate the last step, and the selected one if it is another, whose scores are then reported."""
        results = self.evaluate_all(self.folder.figures())
        if self.recipe.options.select is not None:
            results = self._selected(results)
        early = {"stopped_early": {"after": self.step, "of": self.total}} if self.step < self.total else {}
        return {**results, **early, "seconds": {k: round(v, 2) for k, v in self.clock.seconds.items()}}

    def _selected(self, last: dict[str, Any]) -> dict[str, Any]:
        selector = self.selector
        if self.step >= self.total:
            selector.improves(self.step, last["scalars"], last["tainted"])
        chosen, best = dict(last), selector.best.get("step", self.step)
        shutil.rmtree(self.folder.figures(selected=True), ignore_errors=True)  # of an earlier end of the run
        found = self.checkpoints.at(best) if best != self.step else None
        if best != self.step and found is None:
            message = f"the checkpoint of step {best} is gone, so the last step is reported"
            self.notices.health(self.step, message)
            value = last["scalars"].get(selector.metric)
            selector.best = {**selector.best, "step": self.step, "value": value}
        if found is not None:
            self.trainer.load_state_dict(found[1]["trainer"])
            self.step = best
            chosen = self.evaluate_all(self.folder.figures(selected=True))
            self.step = last["step"]
        oracle = selector.oracle(self.folder.history.training())
        chosen["scalars"] = {**chosen["scalars"], **oracle}
        chosen["headline"] = [*chosen["headline"], *oracle]
        return {**chosen, "selected_by": selector.best, "last": last}


def check_identity(state: Mapping[str, Any], identities: Collection[str], folder: Path) -> None:
    """Raises `UserError` for a state that was saved by another experiment."""
    if state["identity"] not in identities:
        help = ["start a new run, or restore the recipe.toml of the run folder"]
        raise UserError(f"the checkpoint in {folder} is of another recipe", help=help)


def _hashes_of(run_data: RunData) -> dict[str, list[str]]:
    """Of each role with hidden labels the hashes of its splits."""
    return {role: list(run_data.recorded.hashes.get(role, {}).values()) for role in run_data.hidden()}


def _part(batch: Batch, part: int, parts: int) -> Batch:
    """One of several equal parts of a batch."""

    def cut(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.tensor_split(parts)[part]

    labels = None if batch.labels is None else cut(batch.labels)
    return Batch(cut(batch.images), labels, {name: cut(tensor) for name, tensor in batch.extra.items()})
