"""A run as a process of the machine that this is called on."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence

MAIN = """
from pluglab.cli import main
from pluglab.launchers.following import end_with_parent

end_with_parent()
main()
"""


class RunProcess:
    """`lab WORDS...`; it saves and stops when this process ends, however that comes about."""

    def __init__(self, words: Sequence[str], threads: int) -> None:
        # -P: modules of the working directory must not take the place of those that are installed.
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", MAIN, *words],
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._said: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._stopped = False

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._said.put(line.rstrip())

    def said(self) -> list[str]:
        """The lines that are new."""
        return [self._said.get() for _ in range(self._said.qsize())]

    def ended(self) -> bool:
        """Whether it has, and all that it said can be had."""
        if self.process.poll() is None:
            return False
        self._reader.join()
        return True

    def stop(self) -> None:
        """Ask it, once, to save and stop."""
        if not self._stopped:
            self.process.terminate()
            self._stopped = True
