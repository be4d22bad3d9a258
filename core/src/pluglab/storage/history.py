"""The history of a run as `metrics.jsonl`: one JSON object an event, appended as it happens.

The file is opened, appended to and closed for every event, so that a crash loses at most a half-written
last line, which readers and a resumed run leave out.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pluglab.protocols import Evaluation
from pluglab.storage.run_info import RunInfo

FILE = "metrics.jsonl"


def lab_run_started(run: RunInfo, step: int) -> None:
    """Forget what a resumed run will do again, then note the start."""
    path = run.folder / FILE
    if path.exists():
        _rewrite(path, _lines_until(step, list(_complete_lines(path))) if step else [])
    _append(run, "run_started", step=step, variant=run.variant, seed=run.seed, steps=run.steps)


def lab_step_logged(run: RunInfo, step: int, scalars: Mapping[str, float]) -> None:
    _append(run, "step", step=step, scalars=scalars)


def lab_evaluated(run: RunInfo, step: int, name: str, evaluation: Evaluation) -> None:
    _append(run, "evaluation", step=step, name=name, scalars=evaluation.scalars)


def lab_health(run: RunInfo, step: int, message: str) -> None:
    _append(run, "lab_health", step=step, message=message)


def lab_checkpoint_saved(run: RunInfo, step: int, path: Path) -> None:
    _append(run, "checkpoint", step=step, file=path.name)


def lab_run_finished(run: RunInfo, status: str) -> None:
    _append(run, "run_finished", status=status)


def read_history(path: Path) -> list[dict[str, Any]]:
    """The events of a `metrics.jsonl`, oldest first; a half-written last line is left out.

    Each has a `type` ('run_started', 'step', 'evaluation', 'lab_health', 'checkpoint', 'run_finished') and
    the wall-clock `time` in seconds since 1970; all but 'run_finished' have a `step`. A value that was not
    finite is None. A file that does not exist yet is an empty history.
    """
    return [json.loads(line) for line in _complete_lines(path)] if path.exists() else []


def _append(run: RunInfo, kind: str, **values: Any) -> None:
    event = {"type": kind, "time": round(time.time(), 3), **values}
    with (run.folder / FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(_finite(event), allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    """JSON has neither NaN nor infinity, so they become null."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _complete_lines(path: Path) -> Iterator[str]:
    """Lines that were written to their end: a crash can cut only the last one, or leave it as zero bytes."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        if line.endswith("\n") and line.startswith("{"):
            yield line


def _lines_until(step: int, lines: list[str]) -> list[str]:
    """What the checkpoint of `step` knows of: the lines before its own, and how earlier sessions ended.

    A crash can come between a checkpoint and its line; then the lines up to its step.
    """
    events = [json.loads(line) for line in lines]
    saved = [i for i, event in enumerate(events) if event["type"] == "checkpoint" and event["step"] == step]
    end = saved[-1] + 1 if saved else len(lines)
    known = [i < end and event.get("step", 0) <= step for i, event in enumerate(events)]
    ended = [event["type"] in ("run_started", "run_finished") for event in events]
    return [line for line, keep, session in zip(lines, known, ended, strict=True) if keep or session]


def _rewrite(path: Path, lines: list[str]) -> None:
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
