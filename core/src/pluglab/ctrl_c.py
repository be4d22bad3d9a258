"""Ctrl-C told from a KeyboardInterrupt that some code raises by itself, which is a fault like any other."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

STRAY = Exception, SystemExit, KeyboardInterrupt
"""What the code of a plugin may leave by. Whoever catches it lets Ctrl-C pass first."""


class CtrlC(KeyboardInterrupt):
    """A person has pressed Ctrl-C."""


@contextmanager
def telling_ctrl_c() -> Iterator[None]:
    """Ctrl-C within it raises `CtrlC`, unless somebody else minds it already, or this is no main thread."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _raise(number: int, frame: object) -> None:
    raise CtrlC


def let_ctrl_c_pass(error: BaseException) -> None:
    """Raise what is a person's Ctrl-C again."""
    if isinstance(error, CtrlC):
        raise error
