"""An observer that keeps runs in an MLflow tracking store."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from pluglab import Evaluation, Observer, Options, UserError
from pluglab.protocols import RunInfo

STATUS = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
FOLDER, HEALTH = "pluglab.folder", "pluglab.health"  # tags
PARAMS = 100  # that a store takes at once
LENGTH = 500  # signs of a value that every store takes


class MLflow(Observer):
    """Each run of a recipe as a run of MLflow: its options as params, what is logged and scored as metrics, the
    recipe, the results and all pictures as artifacts. A run that is resumed goes on in the same one.
    """

    class Config(Options):
        uri: str = "sqlite:///mlflow.db"
        """The tracking store: a database, or the address of a server."""
        experiment: str = ""
        """The experiment of MLflow; the recipe's title by default."""
        artifacts: bool = True
        """Whether recipe, results and pictures are copied to the store."""

    def __init__(self, config: Config) -> None:
        """Raises `UserError` for a store that cannot be opened."""
        self.config, self.id = config, ""
        self.logged: dict[str, int] = {}  # the last step of each metric
        try:
            self.client = MlflowClient(config.uri)
        except (MlflowException, OSError) as error:
            message = f"MLflow cannot open {config.uri}: {str(error).splitlines()[0]}"
            raise UserError(message, help=['a local one is uri = "sqlite:///mlflow.db"']) from error

    def run_started(self, run: RunInfo, step: int) -> None:
        experiment = self._experiment(self.config.experiment or run.recipe)
        found = self.client.search_runs([experiment], f"tags.`{FOLDER}` = '{run.folder}'")
        if found:
            self.id = found[0].info.run_id
            self.client.update_run(self.id, "RUNNING")
            self.logged = {name: self._last_step(name) for name in found[0].data.metrics}
            return
        self.id = self.client.create_run(
            experiment, run_name=run.label, tags={FOLDER: str(run.folder)}
        ).info.run_id
        params = [Param(name, str(value)[:LENGTH]) for name, value in leaves(run.options)]
        for start in range(0, len(params), PARAMS):
            self.client.log_batch(self.id, params=params[start : start + PARAMS])

    def _experiment(self, name: str) -> str:
        """Its id; made where there is none. Runs that start at once may both try to make it."""
        known = self.client.get_experiment_by_name(name)
        if known is None:
            try:
                return str(self.client.create_experiment(name))
            except MlflowException:
                known = self.client.get_experiment_by_name(name)
                if known is None:
                    raise
        return str(known.experiment_id)

    def _last_step(self, name: str) -> int:
        return max(metric.step for metric in self.client.get_metric_history(self.id, name))

    def step_logged(self, run: RunInfo, step: int, scalars: Mapping[str, float]) -> None:
        self._log(step, scalars)

    def evaluated(self, run: RunInfo, step: int, name: str, evaluation: Evaluation) -> None:
        self._log(step, {f"{name}/{scalar}": value for scalar, value in evaluation.scalars.items()})

    def _log(self, step: int, scalars: Mapping[str, float]) -> None:
        """Those that are not there yet: a resumed run does its last steps again, and to the same bits."""
        new = {name: value for name, value in scalars.items() if step > self.logged.get(name, -1)}
        now = int(time.time() * 1000)
        self.client.log_batch(self.id, [Metric(name, value, now, step) for name, value in new.items()])
        self.logged |= dict.fromkeys(new, step)

    def health(self, run: RunInfo, step: int, message: str) -> None:
        self.client.set_tag(self.id, HEALTH, f"step {step}: {message}")

    def run_finished(self, run: RunInfo, status: str, results: Mapping[str, Any]) -> None:
        for place in ("recipe.toml", "results.json", "figures") if self.config.artifacts else ():
            path = run.folder / place
            if path.is_dir():
                self.client.log_artifacts(self.id, str(path), place)
            elif path.exists():
                self.client.log_artifact(self.id, str(path))
        self.client.set_terminated(self.id, STATUS[status])


def leaves(options: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The options in tables within tables, each with its dotted name."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{above}{name}.")
        else:
            yield above + name, value
