"""Signals that ask a run to save and stop, in one process or in several that have to stop together."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import distributed
from torch.distributed import ProcessGroup

from pluglab.errors import InterruptedRunError

ASKING = "SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"
"""Ctrl-C; the end of a machine or a job; a terminal that is closed; a scheduler, some time before the end."""


class Signals:
    """Signals that ask the loop to save and stop; a second SIGINT ends the process at once."""

    received: int | None = None

    def check(self, words: str) -> None:
        """Raise `InterruptedRunError` if a signal has come."""
        if self.received is not None:
            raise interrupted(self.received, words)

    @contextmanager
    def caught(self) -> Iterator[Signals]:
        """Only the main thread can catch signals; elsewhere, as in a server, they are left to it."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._note) for number in _asking()}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: object) -> None:
        if self.received == number == signal.SIGINT:
            os._exit(130)
        self.received = number


def interrupted(number: int, words: str) -> InterruptedRunError:
    """The error of a run that a signal has ended."""
    return InterruptedRunError(number, f"{signal.Signals(number).name} {words}; saved")


def _asking() -> list[int]:
    """Those that this system has, without those that somebody has had ignored, as `nohup` does SIGHUP."""
    numbers = [getattr(signal, name) for name in ASKING if hasattr(signal, name)]
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]


class Agreement:
    """What the processes of a run agree on: the largest number that any of them has named.

    A process that stopped by itself would leave the others waiting for its gradients for ever.
    """

    def __init__(self, world_size: int) -> None:
        # Gloo, since the numbers are on the CPU, whatever the gradients are on.
        several = world_size > 1
        self._group = cast(ProcessGroup, distributed.new_group(backend="gloo")) if several else None
        self._numbers = torch.zeros(1, dtype=torch.int64)
        self._asked: distributed.Work | None = None

    def of_last_time(self, number: int) -> int:
        """The largest that was named the time before, so that no process waits for the slowest: all ask once
        a step. One process alone agrees with itself at once."""
        if self._group is None:
            return number
        agreed = self._answer()
        self._numbers.fill_(number)
        self._asked = distributed.all_reduce(
            self._numbers, distributed.ReduceOp.MAX, group=self._group, async_op=True
        )
        return agreed

    def now(self, number: int) -> int:
        """The largest that is named now; all processes wait for each other."""
        before = self.of_last_time(number)
        return number if self._group is None else max(before, self._answer())

    def _answer(self) -> int:
        if self._asked is None:
            return 0
        self._asked.wait()
        self._asked = None
        return int(self._numbers.item())
