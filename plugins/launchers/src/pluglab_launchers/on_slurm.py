"""Runs as jobs of SLURM, through submitit, which writes their scripts and asks how they stand."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from pluglab import Options, UserError
from pluglab.engine.signals import Signals
from pluglab.protocols import Job
from pluglab_launchers.attending import State, attend
from pluglab_launchers.process import RunProcess

SECONDS_BETWEEN_LOOKS = 0.5
FOLDER = "slurm"  # in the folder of a run: scripts, and what its jobs have said
TIMEOUTS = 1000  # a run may go on as another job so often
STOP = "stop"  # a file that asks a job to save and stop
HOST = "pluglab on "  # how a job says where it is
OWN_WORDS = "submitit "  # how submitit's own lines in a job's output begin


class Slurm:
    """Each run a job of SLURM. All machines need pluglab with its plugins, the data, and the runs' folder.

    A job that is near its time limit, or preempted, saves, and goes on as a new one. A run whose job is lost
    goes on as well.
    """

    class Config(Options):
        jobs: int = Field(16, ge=1)
        """Runs in the queue, or under way, at a time."""
        partition: str = ""
        """Where they queue; by default SLURM's own choice."""
        minutes: int = Field(60, ge=1)
        """Time limit of a job. A longer run goes on as another job."""
        cpus: int = Field(1, ge=1)
        """CPUs of a run. It has as many threads."""
        gpus: int = Field(0, ge=0)
        """GPUs of a run."""
        memory: float = Field(8, gt=0)
        """Memory of a run in GB."""
        more: dict[str, Any] = {}
        """Further options of `sbatch`: { account = "vision", qos = "low" }."""
        setup: list[str] = []
        """Lines of a shell to run first, such as "module load cuda"."""
        retries: int = Field(3, ge=0)
        """How often a run goes on after its job was lost."""
        cluster: Literal["slurm", "local"] = "slurm"
        """'local' makes processes of this machine instead, to try things out."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def launch(self, jobs: Iterable[Job], say: Callable[[str], None]) -> Mapping[str, Exception]:
        """A run that fails is noted and the others go on; a signal ends them all, saved."""
        queue = Queue(self.config)
        say(f"{self.config.cluster}: up to {self.config.jobs} runs at a time")
        with Signals().caught() as signals:
            failures = attend(jobs, queue, self.config.retries, say, signals)
            signals.check("while runs were under way in the queue")
        return failures


class Queue:
    """Where a run is a job. Raises `UserError` where there is no SLURM, or no submitit."""

    def __init__(self, config: Slurm.Config) -> None:
        try:
            import submitit
        except ImportError as error:
            help = ['pip install "pluglab-launchers[slurm]"']
            raise UserError("the launcher 'slurm' needs submitit", help=help) from error
        if config.cluster == "slurm" and shutil.which("sbatch") is None:
            help = ["call it where `sbatch` is", "cluster = 'local' tries it out on this machine"]
            raise UserError("there is no SLURM on this machine", help=help)
        self.config, self._submitit = config, submitit

    def room(self) -> int:
        return self.config.jobs

    def start(self, job: Job) -> InQueue:
        around = job.folder.resolve() / FOLDER
        around.mkdir(exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="job-", dir=around))
        limits = {"slurm_max_num_timeout": TIMEOUTS} if self.config.cluster == "slurm" else {}
        executor = self._submitit.AutoExecutor(folder=folder, cluster=self.config.cluster, **limits)
        executor.update_parameters(**self._parameters(job))
        work = Work(job.command(), self.config.cpus, str(folder / STOP))
        return InQueue(job, executor.submit(work), folder / STOP)

    def _parameters(self, job: Job) -> dict[str, Any]:
        config = self.config
        common = {
            "name": f"pluglab-{job.folder.name}",
            "timeout_min": config.minutes,
            "cpus_per_task": config.cpus,
            "gpus_per_node": config.gpus,
            "mem_gb": config.memory,
        }
        if config.cluster == "local":
            return common
        partition = {"slurm_partition": config.partition} if config.partition else {}
        lines = {"slurm_setup": config.setup} if config.setup else {}
        return {**common, **partition, **lines, "slurm_additional_parameters": dict(config.more)}


@dataclass
class InQueue:
    """An attempt as a job of SLURM."""

    job: Job
    slurm: Any
    stopping: Path
    where: str = ""
    _read: int = 0

    def look(self) -> State:
        ended = self.slurm.done()
        self._relay()
        if ended:
            return "ended" if self.slurm.paths.result_pickle.exists() else "lost"
        return "running" if self._read else "waiting"

    def _relay(self) -> None:
        """What the job has said since, by whole lines."""
        path = self.slurm.paths.stdout
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            if line.startswith(HOST):
                self.where = line.removeprefix(HOST)
            elif not line.startswith(OWN_WORDS):
                self.job.relay(line)

    def stop(self) -> None:
        """One that has not begun will see it when it does, and not begin."""
        self.stopping.touch()
        if not self._read and self.slurm.state in ("PENDING", "UNKNOWN"):
            self.slurm.cancel(check=False)


@dataclass
class Work:
    """What a job does. submitit calls `checkpoint` when SLURM is about to end it, and submits it again."""

    words: list[str]
    threads: int
    stopping: str

    def __call__(self) -> None:
        import socket

        print(f"{HOST}{socket.gethostname()}", flush=True)
        if Path(self.stopping).exists():
            return
        self._run = RunProcess(self.words, self.threads)
        while not self._run.ended():
            self._tell()
            if Path(self.stopping).exists():
                self._run.stop()
            time.sleep(SECONDS_BETWEEN_LOOKS)
        self._tell()

    def _tell(self) -> None:
        for line in self._run.said():
            print(line, flush=True)

    def checkpoint(self) -> Any:
        """Save, and go on as another job."""
        import submitit

        self._run.stop()
        self._run.process.wait()
        return submitit.helpers.DelayedSubmission(Work(self.words, self.threads, self.stopping))
