"""Runs brought to their ends: each from its newest checkpoint, its state kept in run.json throughout."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pluglab.architecture.describing import describe
from pluglab.architecture.text import nested, tables
from pluglab.ctrl_c import STRAY, let_ctrl_c_pass
from pluglab.engine.engine import Engine
from pluglab.engine.initial_weights import words_of
from pluglab.errors import InterruptedRunError, LabError, RunError, UserError
from pluglab.experiments.experiment import Experiment
from pluglab.experiments.new_engine import new_engine
from pluglab.experiments.prepare import Prepared
from pluglab.experiments.session import Session
from pluglab.experiments.summary import write_results
from pluglab.plugins.loading import is_trusting, left_out
from pluglab.plugins.returned import check_failures
from pluglab.protocols import Job, Launcher
from pluglab.storage.failures import after, clear_frames, recording_failures
from pluglab.storage.run_folder import RunFolder, resuming, start_facts


def execute(experiment: Experiment, session: Session) -> None:
    """Run what is not finished, by the launcher of the recipe. A run that fails is noted, and the others go
    on; an interrupt ends them all, saved, with an `InterruptedRunError`."""
    try:
        failures = _launch(experiment, session)
    except InterruptedRunError as error:
        error.help = (f"go on with: {resuming(experiment.folder)}",)
        raise
    except UserError as error:
        if not any(run.is_held() for run in experiment.runs):  # by another process; else something is written
            error.exit_code = RunError.exit_code
        raise
    finally:
        if session.is_main_process:
            with after(sys.exc_info()[1]):
                write_results(experiment)
    for label, failure in failures.items():
        told = failure if isinstance(failure, LabError) else RunError(str(failure) or repr(failure))
        experiment.failures[label] = told


def _launch(experiment: Experiment, session: Session) -> dict[str, Exception]:
    """The failures by label, also of runs that the launcher has left without a word."""
    machine = experiment.prepared[0].recipe.options.run
    launcher: Launcher = machine.launcher.build()
    if session.launch(machine).world_size > 1 and machine.launcher.name != "in_turn":
        raise UserError(
            "runs on several devices go one after another", help=["leave --jobs and `launcher` out"]
        )
    jobs = list(_unfinished(experiment, session))
    failures = dict(check_failures(launcher, launcher.launch(jobs, session.log)))
    for job in jobs if session.is_main_process else ():
        left = job.failure()
        if left is not None:
            failures.setdefault(job.label, left)
    return failures


def _unfinished(experiment: Experiment, session: Session) -> Iterator[RunJob]:
    for index, (run, item) in enumerate(zip(experiment.runs, experiment.prepared, strict=True)):
        if run.read()["status"] == "finished":
            session.log(f"{item.label}: finished")
        else:
            yield RunJob(experiment, index, session)


@dataclass(frozen=True)
class RunJob(Job):
    """One run of an experiment, to be brought to its end here or in a process of its own."""

    experiment: Experiment
    index: int
    session: Session

    @property
    def run(self) -> RunFolder:
        return self.experiment.runs[self.index]

    @property
    def label(self) -> str:
        return self.experiment.prepared[self.index].label

    @property
    def folder(self) -> Path:
        return self.run.path

    @property
    def alone(self) -> bool:
        """Whether it is the only run of its experiment."""
        return len(self.experiment.runs) == 1

    def command(self) -> list[str]:
        """`lab resume` of its folder, in turn, with what was given for this session."""
        files = [word for file in self.session.plugins.files for word in ("--plugin", str(file.resolve()))]
        root = self.session.context.root
        place = ["--data-root", str(root.resolve())] if root else []
        sets = [word for one in (*self.experiment.sets, "run.launcher='in_turn'") for word in ("--set", one)]
        trust = ["--trust"] if is_trusting() else []
        return ["resume", str(self.folder.resolve()), *sets, *place, *files, *trust]

    def execute(self) -> None:
        """Raises `InterruptedRunError` after a signal, `LabError` where the run fails."""
        try:
            with _holding(self.run, self.session):
                _execute_run(self.experiment, self.index, self.session)
        except InterruptedRunError:
            raise
        except LabError as error:
            if isinstance(error, UserError) and self.alone:
                raise
            clear_frames(error)
            raise RunError(error.message, help=error.help, where=error.where) from error

    def relay(self, text: str) -> None:
        """Under the name of the run, but not what was said for all."""
        if text not in self.session.logged:
            self.session.echo(text if text.startswith(self.label) else f"{self.label}: {text}")

    def failure(self) -> Exception | None:
        """What run.json says of a run that some process was to bring to its end."""
        try:
            self.run.check_there()
        except RunError as error:
            return error
        state = self.run.read()
        if state["status"] == "finished":
            return None
        if state["status"] == "pending":
            return RunError("its launcher has not started it")
        words = state.get("error") if state["status"] == "failed" else "its process ended before the run did"
        return RunError(words or "it failed without a word", help=["its own words are above"])


@contextmanager
def _holding(run: RunFolder, session: Session) -> Iterator[None]:
    """The run is this process's, and so are its faults: one of several cannot go on without the others."""
    together = session.fabric is not None and session.fabric.world_size > 1
    ours = run.held() if session.is_main_process else nullcontext()
    with ours, nullcontext() if together else recording_failures(run):
        yield


def _execute_run(experiment: Experiment, index: int, session: Session) -> None:
    """One run from its newest checkpoint to its results."""
    run, item = experiment.runs[index], experiment.prepared[index]
    engine = new_engine(experiment, index, session, list(_observers(experiment, index, session)))
    if item.recipe.options.run.evaluate_in == "process":
        from pluglab.experiments.apart import Apart

        engine.apart = Apart(run.path, engine, experiment.sets, session)
    resumed = engine.resume()
    if resumed:
        session.log(f"{item.label}: resuming after step {engine.step}")
    record = run.update if session.is_main_process else _record_nothing
    resumed_at = engine.step if resumed else None
    began = dict(_initialize(engine, item, session)) if not resumed else {}
    if session.is_main_process and not run.architecture.is_file():
        _record_networks(run, engine)
    facts = {**start_facts(), **_facts(item, engine, session), **began}
    record(**facts, resumed_at=resumed_at, error=None)
    start, status, results = time.perf_counter(), "failed", dict[str, Any]()
    try:
        results = engine.run()
        if session.is_main_process:
            run.write_results(results, run.results_of_steps())
        status = "finished"
    except InterruptedRunError:
        status = "interrupted"
        raise
    finally:
        seconds = round(time.perf_counter() - start, 2)
        error = sys.exc_info()[1]
        words = {"error": error.message} if status == "failed" and isinstance(error, LabError) else {}
        with after(error):  # first: a run that is finished is never told of again
            engine.notices.run_finished(status, results)
        with after(error):
            record(status=status, step=engine.step, session_seconds=seconds, data=item.data.facts(), **words)


def _observers(experiment: Experiment, index: int, session: Session) -> Iterator[Any]:
    """Those of the recipe, made for one run. One that cannot be made is left out, unless it says that the
    user is at fault."""
    recipe = experiment.prepared[index].recipe
    for number, component in enumerate(recipe.options.run.observers if session.is_main_process else ()):
        try:
            with recipe.error_location(("run", "observers", number)):
                made = component.build()
        except UserError:
            raise
        except STRAY as error:
            let_ctrl_c_pass(error)
            left_out(f"observer '{component.name}'", "__init__", experiment.info(index), error)
        else:
            yield made


def _initialize(engine: Engine, item: Prepared, session: Session) -> Iterator[tuple[str, Any]]:
    """Weights to start from, where the recipe names some; what became of them is printed and recorded."""
    weights = item.initial_weights(session)
    if weights is not None:
        if weights.digest != item.start.get("init"):
            help = ["start a new run with `lab run`"]
            raise UserError(f"{weights.source} holds other weights than when the run was made", help=help)
        report = weights.put_into(engine.trainer)
        for line in words_of(report):
            session.log(line)
        yield "init", report


def _record_networks(run: RunFolder, engine: Engine) -> None:
    """What the networks are, for whoever reads the run. One that cannot tell is trained all the same."""
    try:
        networks = describe(engine.trainer, engine.recipe.options.batch_size)
    except Exception as error:
        warnings.warn(f"the run's networks are not recorded: {error}", stacklevel=2)
    else:
        run.write_architecture(networks.plain(), f"{nested(networks)}\n\n{tables(networks)}\n")


def _record_nothing(**facts: Any) -> None:
    """What the processes that do not write do instead of `RunFolder.update`."""


def _facts(item: Prepared, engine: Engine, session: Session) -> dict[str, Any]:
    root = session.context.root
    return {
        **({"data_root": str(root.resolve())} if root else {}),
        "machine": vars(engine.fabric.hardware),
        "specs": {role: vars(spec) for role, spec in item.data.specs().items()},
        "steps": engine.total,
        "protocol": _protocol(item),
    }


def _protocol(item: Prepared) -> dict[str, Any]:
    """How the scores came about: what was trained on, what was hidden, what picked the checkpoint."""
    recipe, data = item.recipe, item.data
    select = recipe.options.select
    return {
        "trained_on": {role.name: "train" for role in data.roles},
        "labels_hidden": sorted(data.hidden()),
        "selection": "last step" if select is None else f"{select.mode} of {select.metric}",
        "evaluators": {use.label: use.component.dump() for use in recipe.evaluators},
    }
