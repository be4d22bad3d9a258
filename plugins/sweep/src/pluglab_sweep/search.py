"""A sweep under way: trials are asked of the study when there is room, and told when their runs end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from pluglab import RunError, UserError
from pluglab.errors import InterruptedRunError
from pluglab.protocols import Job
from pluglab.records import Record, read_record
from pluglab_sweep.observer import PRUNED
from pluglab_sweep.options import Objective, Sweep
from pluglab_sweep.study import open_study, size_of, uncounted

if TYPE_CHECKING:
    import optuna

    from pluglab.errors import KeyPath
    from pluglab.experiments.growing import Growing

OURS = "sweep"  # what a trial is told of the folder that its runs are in
WHY = "why"  # ... and of why it failed


@dataclass
class Search:
    """The trials of one sweep. `say` tells people of each that ends."""

    growing: Growing
    say: Callable[[str], None]
    on_end: Callable[[], object] = lambda: None
    unfinished: dict[int, str] = field(default_factory=dict)

    @cached_property
    def sweep(self) -> Sweep:
        made: Sweep = self.growing.table.build()
        return made

    @cached_property
    def study(self) -> optuna.Study:
        growing = self.growing
        return open_study(self.sweep, self.objectives, growing.folder, growing.recipe.title)

    @cached_property
    def objectives(self) -> list[Objective]:
        """Those of the table, or what the recipe selects checkpoints by."""
        select = self.growing.recipe.options.select
        if self.sweep.config.objectives or select is None:
            return self.sweep.config.objectives
        return [Objective(metric=select.metric, mode=select.mode)]

    @property
    def trials(self) -> int:
        """How many there are to be."""
        return size_of(self.sweep)

    # Before ---------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raises `UserError` for all that can be known to be wrong before the first trial."""
        growing, config = self.growing, self.sweep.config
        if not self.objectives:
            help = ['objectives = [{ metric = "...", mode = "min" }] in [sweep], or a [select]']
            raise growing.error(("sweep",), "the sweep does not say which score counts", help=help)
        if config.pruner is not None and len(self.objectives) > 1:
            raise growing.error(("sweep", "pruner"), "a pruner needs a single objective")
        if config.pruner is not None and len(growing.seeds) > 1:
            help = ["search with one seed, and run the best trials with several"]
            raise growing.error(("sweep", "pruner"), "a pruner needs a single seed", help=help)
        if missing := uncounted(self.sweep):
            help = [f"'{missing[0]}' needs a `step`, or a list of values"]
            message = f"the sampler '{config.sampler.name}' needs values that can be counted"
            raise growing.error(("sweep", "parameters"), message, help=help)
        self._check_values()

    def join(self) -> None:
        """Reach a storage that others share. Raises `UserError` where that fails, or the study is another."""
        _ = self.study

    def _check_values(self) -> None:
        """Each parameter is an option of the recipe, at both ends; the scores will be there."""
        for key, one in self.sweep.parameters.items():
            for value in one.ends():
                self.growing.with_values("a trial", {key: value})
        first = {key: one.ends()[0] for key, one in self.sweep.parameters.items()}
        item = self.growing.check("a trial", first)[0]
        for place, objective in enumerate(self.objectives):
            own = bool(self.sweep.config.objectives)
            path: KeyPath = ("sweep", "objectives", place, "metric") if own else ("select", "metric")
            self.growing.check_score(
                item,
                path,
                objective.metric,
                during=self.sweep.config.pruner is not None,
                hidden=self.sweep.config.allow_hidden_labels,
            )

    # Under way ------------------------------------------------------------------------------------

    def jobs(self) -> Iterator[Job]:
        """Those that were left of an earlier call, then new ones while there are to be more."""
        for number in self._left():
            yield from self._again(number)
        while len(self.study.get_trials(deepcopy=False)) < self.trials:
            yield from self._new()

    def _left(self) -> list[int]:
        """The trials of this folder that have not come to their end."""
        trials = self.study.get_trials(deepcopy=False)
        ours = [one for one in trials if one.user_attrs.get(OURS) == self.growing.folder.name]
        return [one.number for one in ours if not one.state.is_finished()]

    def _again(self, number: int) -> Iterator[Job]:
        """A trial that was stopped goes on; one whose runs were not made yet begins."""
        trial = Trial(self, number)
        if not trial.runs:
            yield from self._begin(number, self.study.get_trials(deepcopy=False)[number].params)
            return
        jobs = self.growing.again(name_of(number))
        if not jobs or trial.is_pruned():
            trial.conclude()
            return
        yield from (TrialJob(job, trial) for job in jobs)

    def _new(self) -> Iterator[Job]:
        trial = self.study.ask({key: one.distribution() for key, one in self.sweep.parameters.items()})
        trial.set_user_attr(OURS, self.growing.folder.name)
        yield from self._begin(trial.number, trial.params)

    def _begin(self, number: int, params: Mapping[str, Any]) -> Iterator[Job]:
        values = {key: one.value(params[key]) for key, one in self.sweep.parameters.items()}
        try:
            jobs = self.growing.add(name_of(number), values, self._observers(number))
        except UserError as error:  # values that do not go together
            self.tell(number, why=error.message)
            return
        trial = Trial(self, number)
        yield from (TrialJob(job, trial) for job in jobs)

    def _observers(self, number: int) -> list[dict[str, Any]]:
        config = self.sweep.config
        if config.pruner is None:
            return []
        about = {"folder": self.growing.folder.name, "storage": config.storage, "trial": number}
        what = {"study": self.study.study_name, "metric": self.objectives[0].metric}
        rules = {"pruner": config.pruner.dump(), "allow_hidden_labels": config.allow_hidden_labels}
        return [{"name": "sweep_trial", **about, **what, **rules}]

    # Ended ----------------------------------------------------------------------------------------

    def tell(self, number: int, values: Sequence[float] = (), *, why: str = "", pruned: int = 0) -> None:
        """Tell the study, and people, how a trial has ended: with values, failed, or pruned at a step."""
        from optuna.trial import TrialState

        if why:
            self.study._storage.set_trial_user_attr(self._id(number), WHY, why)
        self.unfinished.pop(number, None)  # a launcher may have brought it to its end after all
        state = TrialState.PRUNED if pruned else TrialState.FAIL if why else TrialState.COMPLETE
        self.study.tell(number, list(values) or None, state)
        self.say(f"{name_of(number)}: {self._words(values, why, pruned)}")
        self.on_end()

    def _id(self, number: int) -> int:
        return self.study.get_trials(deepcopy=False)[number]._trial_id

    def _words(self, values: Sequence[float], why: str, pruned: int) -> str:
        if why:
            return f"failed: {why}"
        if pruned:
            return f"pruned after step {pruned}"
        pairs = zip(self.objectives, values, strict=True)
        found = ", ".join(f"{objective.metric} {value:.4g}" for objective, value in pairs)
        if len(self.objectives) > 1:
            return found
        best = self.study.best_trial
        return f"{found}; the best, {best.value:.4g}, is that of trial {best.number}"


def name_of(number: int) -> str:
    """What a trial is called among the runs."""
    return f"trial {number}"


@dataclass(eq=False)
class Trial:
    """One trial, whose runs differ in the seed."""

    search: Search
    number: int

    @cached_property
    def runs(self) -> list[Path]:
        runs = self.search.growing.runs
        return [run.path for run in runs if run.read()["variant"] == name_of(self.number)]

    def is_pruned(self) -> bool:
        return bool(self._pruned_at())

    def _pruned_at(self) -> int:
        trials = self.search.study.get_trials(deepcopy=False)
        step: int = trials[self.number].user_attrs.get(PRUNED, 0)
        return step

    def conclude(self) -> None:
        """Tell of it when its last run has ended; one that was interrupted, or killed, is to go on later."""
        records, search = [read_record(path) for path in self.runs], self.search
        states = {record.status for record in records}
        if search.study.get_trials(deepcopy=False)[self.number].state.is_finished():
            return
        if step := self._pruned_at():
            for record in records:
                search.growing.note(record.path, "pruned", f"pruned by its sweep after step {step}")
            search.tell(self.number, pruned=step)
        elif states <= {"finished", "failed"}:
            self._tell(records)
        elif states & {"died"}:
            search.unfinished[self.number] = "its process was killed"

    def _tell(self, records: Sequence[Record]) -> None:
        failed = [record for record in records if record.status == "failed"]
        if failed:
            self.search.tell(self.number, why=str(failed[0].state.get("error") or "without a word"))
            return
        try:
            values = [fmean(score(r, o, self.search.sweep) for r in records) for o in self.search.objectives]
        except UserError as error:
            self.search.tell(self.number, why=error.message)
        else:
            self.search.tell(self.number, values)


def score(record: Record, objective: Objective, sweep: Sweep) -> float:
    """What a run has reached. Raises `UserError` where it has not reported the score, or must not have."""
    value, name = record.scalars.get(objective.metric), objective.metric
    if value is None or value != value:
        raise UserError(f"no '{name}' was reported" if value is None else f"'{name}' is no number")
    if name in record.results.get("tainted", ()) and not sweep.config.allow_hidden_labels:
        raise UserError(f"'{name}' was computed from hidden labels")
    return value


@dataclass(frozen=True, eq=False)
class TrialJob(Job):
    """A run of a trial. When it has ended, its trial may have."""

    job: Job
    trial: Trial

    @property
    def label(self) -> str:
        return self.job.label

    @property
    def folder(self) -> Path:
        return self.job.folder

    def command(self) -> list[str]:
        return self.job.command()

    def relay(self, text: str) -> None:
        self.job.relay(text)

    def execute(self) -> None:
        """In this process. A run that is pruned has ended as it should."""
        try:
            self.job.execute()
        except InterruptedRunError:
            if not self.trial.is_pruned():
                raise
        except UserError as error:  # of this run alone: the next may go well
            raise RunError(error.message, help=error.help, where=error.where) from error
        finally:
            self.trial.conclude()

    def failure(self) -> Exception | None:
        """That of the run, unless it was pruned."""
        self.trial.conclude()
        return None if self.trial.is_pruned() else self.job.failure()
