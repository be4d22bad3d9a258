"""The history of a run as `metrics.jsonl`: one JSON object an event, appended as it happens.

The file is opened, appended to and closed for every event, so that a killed process loses at most a
half-written last line, which readers and a resumed run leave out. A checkpoint gets its name when the lines
before it are on the disk, so that a loss of power takes none that a resumed run will not write again.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from pluglab.plain import plain
from pluglab.storage.atomic import cannot_write, sync, write_file
from pluglab.storage.shapes import is_event

Event = Mapping[str, Any]


class History:
    """The events of one run.

    Each has a `type` ('run_started', 'step', 'evaluation', 'health', 'checkpoint', 'run_finished') and the
    wall-clock `time` in seconds since 1970; all but 'run_finished' have a `step`. A value that was not finite
    is None. An evaluation that was made when the training was over is `afterwards`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, kind: str, **values: Any) -> None:
        """Raises `RunError` where the disk is full."""
        event = {"type": kind, "time": round(time.time(), 3), **values}
        try:
            with self.path.open("a+b") as file:
                line = json.dumps(plain(event), allow_nan=False) + "\n"
                file.write((b"" if _ends_well(file) else b"\n") + line.encode())
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def drop_damaged(self) -> int:
        """Write the file anew without lines that are none of ours; returns how many there were."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kept = [line for line, _ in self._lines()]
        text = self.path.read_text(encoding="utf-8", errors="replace") if self.path.exists() else ""
        lost = len(text.splitlines()) - len(kept)
        if lost:
            write_file(self.path, "".join(kept).encode())
        return lost

    def sync(self) -> None:
        """Bring to the disk what has been appended. Raises `RunError` where that cannot be."""
        try:
            if self.path.exists():
                sync(self.path)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def events(self) -> list[dict[str, Any]]:
        """All of them, oldest first; none where there is no file yet."""
        return [event for _, event in self._lines()]

    def training(self) -> list[dict[str, Any]]:
        """The events of the training alone, without evaluations that were made afterwards."""
        return [event for event in self.events() if not event.get("afterwards")]

    def rewind(self, step: int) -> None:
        """Forget what a run that goes on from the checkpoint of `step` will do again."""
        if self.path.exists():
            kept = _lines_until(step, list(self._lines())) if step else []
            write_file(self.path, "".join(kept).encode())

    def change_end(self, change: Callable[[Event], Event]) -> None:
        """Change the evaluations since the end of the training: those after its last checkpoint."""
        events = self.events()
        saved = [i for i, event in enumerate(events) if event["type"] == "checkpoint"]
        end = saved[-1] if saved else len(events)
        changed = [
            change(event) if i > end and event["type"] == "evaluation" else event
            for i, event in enumerate(events)
        ]
        write_file(self.path, "".join(json.dumps(event) + "\n" for event in changed).encode())

    def inherit(self, parent: History, step: int) -> None:
        """Begin with what another run did until its checkpoint of `step`."""
        lines = list(parent._lines())
        end = _end_of(step, lines)
        kept = [line for line, event in lines[:end] if event.get("step", 0) <= step]
        write_file(self.path, "".join(kept).encode())

    def _lines(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each line with its event. A crash can cut the last line, or leave it as zero bytes; any other that
        is none of ours is left out with a warning, and blocks nothing."""
        if self.path.exists():
            text = self.path.read_text(encoding="utf-8", errors="replace")
            for number, line in enumerate(text.splitlines(keepends=True), start=1):
                event = _event_of(line) if line.endswith("\n") else None
                if event is not None:
                    yield line, event
                elif line.strip("\x00\n") and line.endswith("\n"):
                    warnings.warn(f"{self.path}: line {number} is damaged and left out", stacklevel=2)


def _ends_well(file: BinaryIO) -> bool:
    """Whether the next line would not join one that a killed process has left half written."""
    if not file.seek(0, os.SEEK_END):
        return True
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def _event_of(line: str) -> dict[str, Any] | None:
    """None where the line is none of ours."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if is_event(event) else None


def _lines_until(step: int, lines: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """What the checkpoint of `step` knows of: the lines before its own, how earlier sessions ended, and what
    was found afterwards of checkpoints that are still there."""
    end = _end_of(step, lines)

    def is_kept(i: int, event: Event) -> bool:
        known = (i < end or event.get("afterwards", False)) and event.get("step", 0) <= step
        return known or event["type"] in ("run_started", "run_finished")

    return [line for i, (line, event) in enumerate(lines) if is_kept(i, event)]


def _end_of(step: int, lines: list[tuple[str, dict[str, Any]]]) -> int:
    """How many lines there are until that of the checkpoint of `step`.

    A crash can come between a checkpoint and its line; then all lines count.
    """
    saved = [
        i for i, (_, event) in enumerate(lines) if event["type"] == "checkpoint" and event.get("step") == step
    ]
    return saved[-1] + 1 if saved else len(lines)
