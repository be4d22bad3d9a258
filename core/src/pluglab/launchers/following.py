"""A process that does not outlive the one that started it, however that one has ended."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress


def end_with_parent() -> None:
    """Ask this process to save and stop once standard input ends.

    It is a pipe whose other end the parent holds and never writes to. The system closes it, also when the
    parent is killed.
    """
    threading.Thread(target=_wait, name="parent", daemon=True).start()


def _wait() -> None:
    with suppress(OSError):
        while os.read(0, 1):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
