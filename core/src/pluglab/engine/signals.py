"""SIGINT and SIGTERM: save, then stop."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pluglab.errors import InterruptedRunError


class Signals:
    """SIGINT and SIGTERM ask the loop to save and stop; a second SIGINT ends the process at once."""

    received: int | None = None

    def check(self, words: str) -> None:
        """Raise `InterruptedRunError` if a signal has come."""
        if self.received is not None:
            raise InterruptedRunError(self.received, f"{signal.Signals(self.received).name} {words}; saved")

    @contextmanager
    def caught(self) -> Iterator[Signals]:
        """Only the main thread can catch signals; elsewhere, as in a server, they are left to it."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: object) -> None:
        if self.received == number == signal.SIGINT:
            os._exit(130)
        self.received = number
