"""What a trial tells its sweep while it trains, and how it ends when it is pruned."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pluglab import Component, Evaluation, Observer, Options, Reference
from pluglab.protocols import RunInfo
from pluglab.records import read_record
from pluglab_sweep.study import storage_of, url_of

if TYPE_CHECKING:
    import optuna

STOP = getattr(signal, "SIGUSR1", signal.SIGTERM)
"""A run that gets it saves and stops."""
PRUNED = "pruned_at"  # what a trial is told of the step, and a trial that is not pruned lacks


class TrialObserver(Observer):
    """Reports what the objective's evaluator finds, and asks whether to go on. `lab sweep` adds it to each
    run of a sweep with a pruner."""

    class Config(Options):
        folder: str
        """Name of the sweep's folder. A run elsewhere, such as a repetition, is none of its trials."""
        storage: str = ""
        """Where the study is kept; by default in the sweep's folder."""
        study: str
        """Name of the study."""
        trial: int
        """Number of the trial."""
        metric: str
        """The scalar that counts."""
        allow_hidden_labels: bool = False
        """Whether one that is computed from hidden labels may."""
        pruner: Annotated[Component, Reference("sweep_pruner")]
        """What decides."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.trial: optuna.Trial | None = None

    def evaluated(self, run: RunInfo, step: int, name: str, evaluation: Evaluation) -> None:
        """Ends the run, saved, where its score does not promise much."""
        value = self._score(run, step, name, evaluation)
        if value is None or step >= run.steps or run.folder.resolve().parent.name != self.config.folder:
            return
        trial = self.trial = self.trial or self._open(run)
        known = trial.storage.get_trial(trial._trial_id)
        if known.state.is_finished():  # the run goes on without the sweep
            return
        if step not in known.intermediate_values:
            trial.report(value, step)
        if trial.should_prune():
            trial.set_user_attr(PRUNED, step)
            signal.raise_signal(STOP)

    def _score(self, run: RunInfo, step: int, name: str, evaluation: Evaluation) -> float | None:
        """The scalar that counts, if this evaluator reports it, and nothing hidden is behind it."""
        metric = self.config.metric
        own = metric if metric in evaluation.scalars else metric.removeprefix(f"{name}/")
        if own not in evaluation.scalars:
            return None
        looks = (event for event in reversed(read_record(run.folder).history()) if event.get("name") == name)
        event: Mapping[str, Any] = next(looks, {})
        hidden = event.get("step") == step and own in event.get("tainted", ())
        return None if hidden and not self.config.allow_hidden_labels else evaluation.scalars[own]

    def _open(self, run: RunInfo) -> optuna.Trial:
        import optuna

        url = url_of(self.config.storage, run.folder.resolve().parent)
        pruner: optuna.pruners.BasePruner = self.config.pruner.build()
        study = optuna.load_study(study_name=self.config.study, storage=storage_of(url), pruner=pruner)
        return open_trial(study, self.config.trial)


def open_trial(study: optuna.Study, number: int) -> optuna.Trial:
    """A trial that is under way, in another process perhaps. Optuna's own ways lead to new ones only."""
    import optuna

    return optuna.Trial(study, study.get_trials(deepcopy=False)[number]._trial_id)
