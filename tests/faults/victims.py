"""Runs of one family that something befalls, and that then have to end as one that is left alone does."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.compared import differences
from tests.faults.families import STEPS, recipe
from tests.faults.processes import Operations, ended, forked, warm


@dataclass
class Found:
    """What came of one kind of fault in one family: how many of which sort there were, in how many runs, and
    what was wrong."""

    sorts: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    wrong: list[str] = field(default_factory=list)


class Victims:
    """Runs of one family below a folder. `whole` is one that nothing has befallen."""

    def __init__(self, family: str, place: Path, seed: int) -> None:
        self.family, self.place, self.chance = family, place, random.Random(f"{family} {seed}")
        place.mkdir(parents=True)
        self.recipe = place / f"{family}.toml"
        self.recipe.write_text(recipe(family))
        warm(self.recipe)
        whole = self.folder("whole")
        operations, start = Operations(whole), time.monotonic()
        code = ended(forked(["run", str(self.recipe)], whole, operations.install))
        assert code == 0, f"{whole}/log"
        self.seconds, self.operations = time.monotonic() - start, operations.count
        self.whole = run_in(whole)

    def folder(self, name: str) -> Path:
        folder = self.place / name
        folder.mkdir(parents=True)
        return folder

    def words(self, place: Path) -> list[str]:
        """How to go on with the run that is there, or to start it."""
        found = [path.parent for path in place.glob("runs/*/*/run.json")]
        return ["resume", str(found[0])] if found else ["run", str(self.recipe)]

    def finish(self, place: Path, found: Found) -> None:
        """Go on to the end, and compare."""
        code = ended(forked(self.words(place), place))
        wrong = [f"exit code {code}"] if code else differences(run_in(place), self.whole)
        found.wrong += [f"{place}: {what}" for what in wrong]


def run_in(place: Path) -> Path:
    """The only run below a place."""
    (file,) = place.glob("runs/*/*/run.json")
    return file.parent


def phase(place: Path) -> str:
    """Where a killed process was, by what it has left behind."""
    runs = [file.parent for file in place.glob("runs/*/*/run.json")]
    if not runs:
        return "preparing" if list(place.glob("cache/prepared/.*")) else "start-up"
    run, lines = runs[0], runs[0] / "metrics.jsonl"
    if list(run.glob("checkpoints/.step_*")):
        return "saving"
    if (run / "results.json").exists():
        return "results"
    events = [json.loads(line) for line in lines.read_text().splitlines()[:-1]] if lines.exists() else []
    last = events[-1] if events else {}
    if last.get("type") in (None, "run_started"):
        return "training" if len(events) > 1 else "start-up"
    at_end = last.get("type") in ("checkpoint", "evaluation") and last["step"] == STEPS
    drawing = any(run.glob("figures/**/.*")) or last["type"] == "evaluation"
    return "evaluating" if at_end or drawing else "training"
