"""Several runs of an experiment at a time: each a process of its own, on a share of the CPU's threads."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence

from pluglab.engine.signals import Signals
from pluglab.errors import InterruptedRunError, RunError, UserError
from pluglab.experiments.experiment import Experiment, Session, write_results
from pluglab.storage.run_folder import EXPERIMENT, RunFolder, read_json, write_json

SECONDS_BETWEEN_LOOKS = 0.2


def settled_jobs(experiment: Experiment, asked: int | None) -> int:
    """How many runs to train at a time: as asked, or as before in this folder; remembered there.

    So a resumed run has as many threads as it had, on which its last bits depend.
    """
    marker = experiment.folder / EXPERIMENT
    if not marker.is_file():
        return 1
    facts = read_json(marker)
    before: int = facts.get("jobs", 1)
    if asked is not None and asked != before:
        write_json(marker, {**facts, "jobs": asked})
    return asked or before


def execute_together(experiment: Experiment, session: Session, jobs: int) -> None:
    """Run what is not finished, `jobs` at a time, each with as many threads as fall to one of `jobs`.

    As with `execute`, a run that fails is noted and the others go on, and an interrupt ends them all, saved.
    Raises `UserError` where each run is several processes already.
    """
    choice = session.launch(experiment.prepared[0].recipe.options.run).choice
    if choice.devices > 1:
        raise UserError("runs on several devices go one after another", help=["leave --jobs out"])
    threads = max(1, choice.threads // jobs)
    session.say(f"up to {jobs} runs at a time, {threads} thread{'s' * (threads > 1)} each")
    with Signals().caught() as signals:
        _work(experiment, session, jobs, threads, signals)
        write_results(experiment)
        try:
            signals.check("while several runs were under way")
        except InterruptedRunError as error:
            error.help = (f"go on with: lab resume {shlex.quote(str(experiment.folder))}",)
            raise


def _work(experiment: Experiment, session: Session, jobs: int, threads: int, signals: Signals) -> None:
    """A process for each run until all are done or, after a signal, until those under way have saved."""
    waiting = deque(_unfinished(experiment, session))
    running: list[Worker] = []
    try:
        while running or (waiting and signals.received is None):
            while waiting and len(running) < jobs and signals.received is None:
                running.append(Worker(*waiting.popleft(), threads, session))
            time.sleep(SECONDS_BETWEEN_LOOKS)
            for worker in [worker for worker in running if worker.ended]:
                running.remove(worker)
                failure = worker.failure()
                if failure is not None and signals.received is None:
                    experiment.failures.append((worker.label, failure))
            if signals.received is not None:
                _stop(running)
    finally:
        _stop(running)


def _stop(workers: Sequence[Worker]) -> None:
    for worker in workers:
        worker.stop()


def _unfinished(experiment: Experiment, session: Session) -> list[tuple[RunFolder, str]]:
    """The runs that are left, each with its name in the experiment."""
    left = []
    for run, prepared in zip(experiment.runs, experiment.prepared, strict=True):
        if run.read()["status"] == "finished":
            session.say(f"{prepared.label}: finished")
        else:
            left.append((run, prepared.label))
    return left


class Worker:
    """A run in a process of its own: `lab resume` of its folder, which was laid out before.

    The process is in a session of its own, so that Ctrl-C reaches it once and through us.
    """

    def __init__(self, run: RunFolder, label: str, threads: int, session: Session) -> None:
        self.run, self.label, self.session = run, label, session
        files = [word for file in session.plugin_files for word in ("--plugin", str(file.resolve()))]
        code = "from pluglab.cli import main; main()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, "resume", str(run.path.resolve()), *files],
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.stopped = False
        self.relay = threading.Thread(target=self._relay, daemon=True)
        self.relay.start()

    def _relay(self) -> None:
        """Pass on what the run says, each line under the name of the run, but not what was said for all."""
        assert self.process.stderr is not None
        for text in map(str.rstrip, self.process.stderr):
            if text not in self.session.said:
                self.session.echo(text if text.startswith(self.label) else f"{self.label}: {text}")

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def stop(self) -> None:
        """Ask the run, once, to save and stop."""
        if not self.stopped:
            self.process.send_signal(signal.SIGTERM)
            self.stopped = True

    def failure(self) -> RunError | None:
        """Why an ended process has not brought its run to an end."""
        self.relay.join()
        state = self.run.read()
        if state["status"] == "finished":
            return None
        ended = f"its process ended with exit code {self.process.returncode}"
        words = state.get("error") if state["status"] == "failed" else ended
        return RunError(words or ended, help=["its own words are above"])
