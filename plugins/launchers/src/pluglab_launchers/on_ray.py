"""Runs on the machines of a Ray cluster: each is an actor, which holds its CPUs and GPUs while it runs."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from pluglab import Options, RunError, UserError
from pluglab.engine.signals import Signals
from pluglab.protocols import Job
from pluglab_launchers.attending import State, attend
from pluglab_launchers.copies import packed, remove, unpack
from pluglab_launchers.on_machine import Worker

ANSWER = 0.01  # seconds to wait for an answer that may be there
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent to anybody
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # Ray's coming default
}


class Ray:
    """Each run on a machine of a Ray cluster: of the one that there is, or of one that is started here.

    All machines need pluglab, its plugins and Ray of the same versions, and the data. They share the folder
    of the runs, or `send_back` copies it. A run whose machine is lost goes on elsewhere from its newest
    checkpoint.
    """

    class Config(Options):
        address: str = ""
        """The cluster, such as '10.0.0.1:6379' or 'ray://head:10001'; by default that of RAY_ADDRESS, or the
        one that runs on this machine, and where there is none, a new one on this machine alone."""
        jobs: int | None = Field(None, ge=1)
        """Runs at a time; by default as many as there is room for."""
        cpus: float = Field(1, gt=0)
        """CPUs of a run. It has as many threads, at least one."""
        gpus: float = Field(0, ge=0)
        """GPUs of a run: 0.5 puts two runs on one."""
        resources: dict[str, float] = {}
        """Other resources of a run, as the machines were started with."""
        retries: int = Field(3, ge=0)
        """How often a run goes on elsewhere after it was lost."""
        send_back: bool = False
        """Whether machines share no storage with this one: a run is sent there, and its files back as they
        change."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def launch(self, jobs: Iterable[Job], say: Callable[[str], None]) -> Mapping[str, Exception]:
        """A run that fails is noted and the others go on; a signal ends them all, saved."""
        ray = connected(self.config.address)
        try:
            say(f"ray: {len(alive(ray))} machines, room for {room(ray, self.config)} runs at a time")
            with Signals().caught() as signals:
                failures = attend(jobs, Cluster(ray, self.config), self.config.retries, say, signals)
                signals.check("while runs were under way on the cluster")
        finally:
            ray.shutdown()
        return failures


def connected(address: str) -> Any:
    """Ray, connected to a cluster. Raises `UserError`."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        help = ['pip install "pluglab-launchers[ray]"']
        raise UserError("the launcher 'ray' needs Ray", help=help) from error
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        ray.init(address=address or "auto", **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        if address:
            help = ["`ray status --address ADDRESS` shows what is there"]
            raise UserError(f"there is no Ray cluster at {address}: {error}", help=help) from error
        _start(ray, quiet)
    return ray


def _start(ray: Any, options: Mapping[str, Any]) -> None:
    """A cluster of this machine alone. Raises `RunError` where it does not come up, at the second try even:
    Ray waits for 30 seconds, and the machine may do much else."""
    for last in (False, True):
        try:
            ray.init(address="local", include_dashboard=False, **options)
            return
        except Exception as error:  # Ray has no name for it
            ray.shutdown()
            if last:
                what = str(error).partition("\n")[0]
                raise RunError(f"Ray did not start on this machine: {what}") from error


def alive(ray: Any) -> list[Mapping[str, Any]]:
    """The machines of the cluster."""
    return [node for node in ray.nodes() if node["Alive"]]


def room(ray: Any, config: Ray.Config) -> int:
    """Runs that the cluster has room for; one at least, as machines may join."""
    wanted = {"CPU": config.cpus, "GPU": config.gpus, **config.resources}
    return config.jobs or max(1, sum(_fitting(node["Resources"], wanted) for node in alive(ray)))


def _fitting(there: Mapping[str, float], wanted: Mapping[str, float]) -> int:
    """Runs that one machine has room for."""
    shares = (there.get(name, 0) / count for name, count in wanted.items() if count)
    return math.floor(min(shares) + 1e-9)


@dataclass
class Cluster:
    """Where a run is an actor."""

    ray: Any
    config: Ray.Config
    _kind: Any = field(init=False)

    def __post_init__(self) -> None:
        config = self.config
        self._kind = self.ray.remote(Worker).options(
            num_cpus=config.cpus, num_gpus=config.gpus, resources=dict(config.resources), max_restarts=0
        )

    def room(self) -> int:
        return room(self.ray, self.config)

    def start(self, job: Job) -> OnRay:
        """An actor, which waits until there is room for it."""
        files = packed(job.folder) if self.config.send_back else None
        threads = max(1, math.floor(self.config.cpus))
        return OnRay(
            self.ray, job, self._kind.remote(job.command(), threads, str(job.folder.resolve()), files)
        )


class OnRay:
    """An attempt by an actor, which is asked again and again how it stands."""

    def __init__(self, ray: Any, job: Job, actor: Any) -> None:
        self.ray, self.job, self.actor, self.where = ray, job, actor, ""
        self._asked = actor.look.remote()
        self._told = self._stopped = False

    def look(self) -> State:
        ready, _ = self.ray.wait([self._asked], timeout=ANSWER)
        if not ready:
            return "running" if self._told else "waiting"
        try:
            said = self.ray.get(self._asked)
        except self.ray.exceptions.RayError:
            return "lost"
        self._told, self.where = True, said["where"]
        for line in said["lines"]:
            self.job.relay(line)
        unpack(said["files"], self.job.folder)
        remove(said["gone"], self.job.folder)
        if said["ended"]:
            self.ray.kill(self.actor)
            return "ended"
        self._asked = self.actor.look.remote()
        return "running"

    def stop(self) -> None:
        """One that has no machine yet is dropped; the other saves."""
        if self._stopped:
            return
        self._stopped = True
        if self._told:
            self.actor.stop.remote()
        else:
            self.ray.kill(self.actor)
