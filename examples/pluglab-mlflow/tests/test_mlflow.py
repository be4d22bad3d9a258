"""What the observer keeps is read back from a real store, a SQLite file, through MLflow's own client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pluglab
import pytest
from mlflow import MlflowClient
from pluglab.protocols import RunInfo
from pluglab.testing import Subject, components, faults


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file of the working directory, beside which MLflow puts artifacts."""
    monkeypatch.chdir(tmp_path)
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.mark.parametrize("component", components("pluglab-mlflow"), ids=str)
def test_nothing_is_wrong_with(component: Subject) -> None:
    assert faults(component) == []


def only_run(store: str) -> Any:
    client = MlflowClient(store)
    (experiment,) = [one for one in client.search_experiments() if one.name != "Default"]
    (run,) = client.search_runs([experiment.experiment_id])
    assert (experiment.name, run.info.run_name) == ("mlflow_digits", "seed 0")
    return run


def history(store: str, name: str) -> list[tuple[int, float]]:
    found = MlflowClient(store).get_metric_history(only_run(store).info.run_id, name)
    return [(metric.step, metric.value) for metric in found]


def test_a_run_of_the_recipe_is_in_the_store(tmp_path: Path, store: str) -> None:
    machine = {"observers": [{"name": "mlflow", "uri": store}], "threads": 1, "precision": "32"}
    runs = pluglab.run("mlflow_digits", steps=20, log_every=10, run=machine)
    run, events = only_run(store), [json.loads(line) for line in (runs.folder / "metrics.jsonl").open()]
    assert run.info.status == "FINISHED"
    params = run.data.params
    assert (params["steps"], params["trainer.name"], params["data.target.size"]) == (
        "20",
        "target_only",
        "16",
    )
    logged = [(one["step"], one["scalars"]) for one in events if one["type"] == "step"]
    assert [step for step, _ in logged] == [10, 20]
    for name in logged[0][1]:
        assert history(store, name) == [(step, scalars[name]) for step, scalars in logged]
    assert history(store, "accuracy/accuracy/target") == [(20, runs.scalars["accuracy/target"])]
    kept = Path(MlflowClient(store).download_artifacts(run.info.run_id, "", str(tmp_path)))
    assert json.loads((kept / "results.json").read_text())["scalars"] == runs.scalars
    for name, picture in runs.figures().items():
        assert (kept / "figures" / picture.name).read_bytes() == picture.read_bytes(), name
    assert (kept / "recipe.toml").read_text() == (runs.folder / "recipe.toml").read_text()


def run_info(folder: Path) -> RunInfo:
    many = {f"option_{i}": i for i in range(150)}  # more than a store takes at once
    options = {"trainer": {"name": "toy", "long": "x" * 7000, **many}}
    return RunInfo(folder, "mlflow_digits", "", 0, 30, 4, options=options)


def observer(**options: Any) -> Any:
    return pluglab.component("observer", "mlflow", **options).build()


def test_a_resumed_run_goes_on_in_the_same_one(tmp_path: Path, store: str) -> None:
    """It does the steps after its checkpoint again, and they are there once."""
    run = run_info(tmp_path)
    first = observer(uri=store)
    first.run_started(run, 0)
    for step in (10, 20):
        first.step_logged(run, step, {"loss": 1 / step})
    first.run_finished(run, "interrupted", {})
    assert only_run(store).info.status == "KILLED" and len(only_run(store).data.params) == 152
    second = observer(uri=store)
    second.run_started(run, 10)
    assert only_run(store).info.status == "RUNNING"
    for step in (20, 30):
        second.step_logged(run, step, {"loss": 1 / step})
    second.health(run, 30, "the loss grows")
    second.run_finished(run, "failed", {})
    assert history(store, "loss") == [(10, 0.1), (20, 0.05), (30, 1 / 30)]
    assert only_run(store).info.status == "FAILED"
    assert only_run(store).data.tags["pluglab.health"] == "step 30: the loss grows"


def test_a_store_that_there_is_not_ends_the_run_before_it_begins() -> None:
    with pytest.raises(pluglab.UserError, match="MLflow cannot open carrier://pigeon"):
        observer(uri="carrier://pigeon")
