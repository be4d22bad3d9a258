"""A run that something has befallen beside the same run that nothing has: what differs, in words."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pluglab.storage.run_folder import RunFolder
from tests.core.support import last_state, same

OF_TIME = "time", "file", "session_seconds"
STATE = "trainer", "random", "step", "selector", "meter", "health"


def differences(folder: Path, whole: Path) -> list[str]:
    """Between a run and the one that was never interrupted; none where every bit is the same."""
    return [what for what, wrong in _compared(folder, whole) if wrong]


def _compared(folder: Path, whole: Path) -> Iterator[tuple[str, bool]]:
    states = last_state(folder), last_state(whole)
    for part in STATE:
        yield f"checkpoint: {part}", not same(states[0][part], states[1][part])
    yield "run.json: not finished", RunFolder(folder).read()["status"] != "finished"
    yield "results.json", _results(folder) != _results(whole)
    for kind in ("step", "evaluation"):
        yield f"metrics.jsonl: {kind}", _events(folder, kind) != _events(whole, kind)
    yield "figures", _figures(folder) != _figures(whole)
    yield "checkpoints kept", _names(folder) != _names(whole)
    yield "tensorboard", _scalars(folder) != _scalars(whole)
    yield "left over", any(path.name.startswith(".") and path.name != ".lock" for path in folder.rglob("*"))


def _results(folder: Path) -> Any:
    return {**json.loads((folder / "results.json").read_text()), "seconds": None}


def _events(folder: Path, kind: str) -> list[Any]:
    events = [event for event in RunFolder(folder).history.events() if event["type"] == kind]
    return [_untimed(event) for event in events]


def _untimed(event: Mapping[str, Any]) -> dict[str, Any]:
    scalars = {name: value for name, value in event["scalars"].items() if not name.startswith("speed/")}
    return {**{key: value for key, value in event.items() if key not in OF_TIME}, "scalars": scalars}


def _figures(folder: Path) -> dict[str, bytes]:
    files = (path for path in (folder / "figures").rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _names(folder: Path) -> list[str]:
    """Steps; the digests in the names are of the clock as well."""
    return sorted(path.name.partition(".")[0] for path in (folder / "checkpoints").iterdir())


def _scalars(folder: Path) -> Counter[tuple[str, int, float]]:
    """Each scalar that TensorBoard shows at a step, with how often it does; pictures as well."""
    found = EventAccumulator(str(folder / "tensorboard"), {"scalars": 0, "images": 0}).Reload()
    tags = found.Tags()
    shown = Counter(
        (tag, event.step, event.value)
        for tag in tags["scalars"]
        if not tag.startswith("speed/")
        for event in found.Scalars(tag)
    )
    return shown + Counter((tag, event.step, 0.0) for tag in tags["images"] for event in found.Images(tag))
