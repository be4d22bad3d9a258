"""Runs under way elsewhere: started when there is room, looked after, gone on with when they are lost.

An attempt is one process that brings a run to its end. A run whose attempt was lost, with its machine
perhaps, goes on from its newest checkpoint in another one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from pluglab.engine.signals import Signals
from pluglab.errors import RunError, UserError
from pluglab.protocols import Job
from pluglab.records import read_record
from pluglab_launchers.board import Board

State = Literal["waiting", "running", "ended", "lost"]
SECONDS_BETWEEN_LOOKS = 0.5
UNDER_WAY = "pending", "running", "died", "interrupted"
"""What run.json says of a run whose process has been lost."""
PATIENCE = 5.0
"""Seconds before a run that was lost goes on: its old process may be saving still."""


class Attempt(Protocol):
    """A process that was asked for. `where` is the machine it runs on, once that is known."""

    where: str

    def look(self) -> State:
        """How it stands. What it has said since is passed on to its job."""
        ...

    def stop(self) -> None:
        """Ask it to save and stop; one that has not begun is not to begin."""
        ...


class Site(Protocol):
    """Where attempts are made."""

    def room(self) -> int:
        """How many runs there is room for."""
        ...

    def start(self, job: Job) -> Attempt:
        """Begin, or go on with, a run."""
        ...


@dataclass
class Placed:
    """A run, and its present attempt; None while it waits to go on."""

    job: Job
    attempt: Attempt | None
    tries: int = 1
    since: float = 0.0


def attend(
    jobs: Iterable[Job], site: Site, retries: int, say: Callable[[str], None], signals: Signals
) -> dict[str, Exception]:
    """Bring all runs to their ends. Returns failures by label.

    A run is lost where its process ends without a word; it is tried again `retries` times. A signal stops
    all, saved.
    """
    with Board(say) as board:
        return _Attendance(iter(jobs), site, retries, board, signals).run()


class _Attendance:
    def __init__(
        self, waiting: Iterator[Job], site: Site, retries: int, board: Board, signals: Signals
    ) -> None:
        self.waiting, self.site, self.retries = waiting, site, retries
        self.board, self.signals = board, signals
        self.placed: list[Placed] = []
        self.failures: dict[str, Exception] = {}

    def run(self) -> dict[str, Exception]:
        try:
            while self._fill() or self.placed:
                time.sleep(SECONDS_BETWEEN_LOOKS)
                for one in list(self.placed):
                    self._look(one)
                if self.signals.received is not None:
                    self._stop()
        finally:
            self._stop()
        return self.failures

    def _fill(self) -> bool:
        """Start runs as long as there is room. Whether any has been started."""
        started = False
        while self.signals.received is None and len(self.placed) < self.site.room():
            job = next(self.waiting, None)
            if job is None:
                break
            self.placed.append(Placed(job, self.site.start(job)))
            self.board.tell(job.label, "waiting")
            started = True
        return started

    def _look(self, one: Placed) -> None:
        if one.attempt is None:
            self._try_again(one)
            return
        state = one.attempt.look()
        if state in ("waiting", "running"):
            self.board.tell(one.job.label, state, one.attempt.where, progress_of(one.job))
            return
        self._ended(one, one.attempt, state)

    def _ended(self, one: Placed, attempt: Attempt, state: State) -> None:
        """Whether the run has come to its end, its folder says; not how the process has ended."""
        failure, status = one.job.failure(), status_of(one.job)
        stopping = self.signals.received is not None
        if failure is not None and status in UNDER_WAY and not stopping:
            self._lose(one, attempt, state)
            return
        self.placed.remove(one)
        words = "finished" if failure is None else status or "failed"
        self.board.tell(one.job.label, words, attempt.where, progress_of(one.job))
        if failure is not None and not stopping:
            self.failures[one.job.label] = failure

    def _lose(self, one: Placed, attempt: Attempt, state: State) -> None:
        what = f"{attempt.where or 'its machine'} was lost" if state == "lost" else "its process was lost"
        if one.tries > self.retries:
            self.placed.remove(one)
            times = f"{one.tries} times" if one.tries > 1 else "once"
            self.failures[one.job.label] = RunError(f"{what}, {times} in all", help=["`retries` allows more"])
            self.board.tell(one.job.label, "lost")
            return
        one.attempt, one.since = None, time.monotonic()
        self.board.tell(one.job.label, f"{what}: goes on elsewhere")

    def _try_again(self, one: Placed) -> None:
        if self.signals.received is not None:
            self.placed.remove(one)
        elif time.monotonic() - one.since > PATIENCE:
            one.attempt, one.tries = self.site.start(one.job), one.tries + 1
            self.board.tell(one.job.label, "waiting")

    def _stop(self) -> None:
        for one in self.placed:
            if one.attempt is not None:
                one.attempt.stop()


def status_of(job: Job) -> str:
    """What the run's folder says; nothing where it says nothing."""
    try:
        return read_record(job.folder).status
    except UserError:
        return ""


def progress_of(job: Job) -> str:
    """'120 of 600'; nothing before there is something to tell."""
    try:
        record = read_record(job.folder)
    except UserError:  # it is being written, or sent
        return ""
    step = record.step()
    return f"{step:,} of {record.steps:,}" if record.steps else ""
