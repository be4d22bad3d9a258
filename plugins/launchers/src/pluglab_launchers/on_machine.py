"""What runs on a machine of a Ray cluster; light, as each run is begun by importing it."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path
from typing import Any

from pluglab_launchers.copies import Changes, Files, forget, unpack
from pluglab_launchers.process import RunProcess


class Worker:
    """On a machine of the cluster: one run, in a process of its own."""

    def __init__(self, words: list[str], threads: int, folder: str, files: Files | None) -> None:
        self.copy = Path(tempfile.mkdtemp(prefix="pluglab-")) if files is not None else None
        if self.copy is not None and files is not None:
            unpack(files, self.copy)
            words = [str(self.copy) if word == folder else word for word in words]
        self.changes = Changes(self.copy) if self.copy is not None else None
        self.run = RunProcess(words, threads)

    def look(self) -> dict[str, Any]:
        """What is new."""
        ended = self.run.ended()
        files, gone = self.changes.take() if self.changes is not None else ({}, [])
        if ended and self.copy is not None:
            forget(self.copy)
        lines = self.run.said()
        return {"where": socket.gethostname(), "lines": lines, "files": files, "gone": gone, "ended": ended}

    def stop(self) -> None:
        """Save and stop."""
        self.run.stop()
