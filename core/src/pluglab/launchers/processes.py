"""Several runs of an experiment at a time: each a process of its own, on a share of the CPU's threads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from pydantic import Field

from pluglab.components import Options
from pluglab.engine.signals import Signals
from pluglab.errors import RunError
from pluglab.protocols import Job
from pluglab.storage.run_folder import RunFolder

SECONDS_BETWEEN_LOOKS = 0.2
MAIN = """
from pluglab.cli import main
from pluglab.launchers.following import end_with_parent

end_with_parent()
main()
"""


class Processes:
    """Each run is `lab resume` of its folder in a process of its own, on its share of the CPU's threads.

    So a run that is resumed by as many jobs has as many threads as it had, on which its last bits depend.
    """

    class Config(Options):
        jobs: int = Field(2, ge=1)
        """Runs at a time."""

    def __init__(self, config: Config) -> None:
        self.jobs = config.jobs

    def launch(self, jobs: Iterable[Job], say: Callable[[str], None]) -> Mapping[str, Exception]:
        """A run that fails is noted and the others go on; a signal ends them all, saved."""
        import torch

        threads = max(1, torch.get_num_threads() // self.jobs)
        say(f"up to {self.jobs} runs at a time, {threads} thread{'s' * (threads > 1)} each")
        with Signals().caught() as signals:
            failures = self._work(iter(jobs), threads, signals)
            signals.check("while several runs were under way")
        return failures

    def _work(self, waiting: Iterator[Job], threads: int, signals: Signals) -> dict[str, Exception]:
        """A process for each run until all are done or, after a signal, until those under way have saved."""
        running: list[Worker] = []
        failures: dict[str, Exception] = {}
        try:
            while True:
                while len(running) < self.jobs and signals.received is None:
                    job = next(waiting, None)
                    if job is None:
                        break
                    running.append(Worker(job, threads))
                if not running:
                    break
                time.sleep(SECONDS_BETWEEN_LOOKS)
                for worker in [worker for worker in running if worker.ended]:
                    running.remove(worker)
                    failure = worker.failure()
                    if failure is not None and signals.received is None:
                        failures[worker.job.label] = failure
                if signals.received is not None:
                    _stop(running)
        finally:
            _stop(running)
        return failures


def _stop(workers: Sequence[Worker]) -> None:
    for worker in workers:
        worker.stop()


class Worker:
    """A run in a process of its own, which is in a session of its own, so that Ctrl-C reaches it once and
    through us."""

    def __init__(self, job: Job, threads: int) -> None:
        self.job = job
        # -P: modules of the working directory must not take the place of those that are installed.
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", MAIN, *job.command()],
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            stdin=subprocess.PIPE,  # its end is ours: see `end_with_parent`
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.stopped = False
        self.relay = threading.Thread(target=self._relay, daemon=True)
        self.relay.start()

    def _relay(self) -> None:
        assert self.process.stderr is not None
        for text in map(str.rstrip, self.process.stderr):
            self.job.relay(text)

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def stop(self) -> None:
        """Ask the run, once, to save and stop."""
        if not self.stopped:
            self.process.send_signal(signal.SIGTERM)
            self.stopped = True

    def failure(self) -> Exception | None:
        """Why an ended process has not brought its run to an end."""
        self.relay.join()
        failure, number = self.job.failure(), -self.process.returncode
        if failure is None or number <= 0 or RunFolder(self.job.folder).read()["status"] == "failed":
            return failure
        names = {known.value: known.name for known in signal.Signals}
        often = ["often the machine ran out of memory: fewer --jobs, or a smaller batch_size"]
        help = often if number == signal.SIGKILL else []
        return RunError(f"its process was killed by {names.get(number, f'signal {number}')}", help=help)
