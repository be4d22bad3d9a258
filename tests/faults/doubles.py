"""Several processes at one thing, and a clock that goes backwards."""

from __future__ import annotations

import os
import signal
import time

from tests.faults.compared import differences
from tests.faults.processes import Harm, ended, forked
from tests.faults.victims import Found, Victims, run_in

TOGETHER = 3


def start_together(victims: Victims, count: int) -> Found:
    """Several starts at once, on one empty cache: each has a folder of its own, and comes to the same end."""
    found = Found()
    for number in range(count):
        place = victims.folder(f"together/{number}")
        children = [forked(["run", str(victims.recipe)], place) for _ in range(TOGETHER)]
        codes = [ended(child) for child in children]
        runs = [file.parent for file in place.glob("runs/*/*/run.json")]
        found.runs += len(runs)
        found.sorts[f"exit codes {sorted(set(codes))}"] += 1
        if len(runs) != TOGETHER or any(codes):
            found.wrong.append(f"{place}: {len(runs)} runs, exit codes {codes}")
        found.wrong += [f"{run}: {what}" for run in runs for what in differences(run, victims.whole)]
    return found


def resume_together(victims: Victims, count: int) -> Found:
    """A resume while the run is going on is refused, and the run does not notice."""
    found = Found()
    for number in range(count):
        place = victims.folder(f"twice/{number}")
        child = forked(["run", str(victims.recipe)], place)
        while not list(place.glob("runs/*/*/metrics.jsonl")):
            time.sleep(0.01)
        second = ended(forked(["resume", str(run_in(place))], place))
        found.runs += 1
        found.sorts[f"second: exit code {second}"] += 1
        if ended(child) or second not in (0, 2):
            found.wrong.append(f"{place}: exit code of the second {second}")
        victims.finish(place, found)
    return found


def turn_back(victims: Victims, count: int) -> Found:
    """The clock goes back by up to a day while the run is going on, and again before it is resumed."""
    found = Found()
    for number in range(count):
        place = victims.folder(f"clock/{number}")
        found.runs += 1
        child = forked(victims.words(place), place, _clock(victims.chance.uniform(1, 1000)))
        time.sleep(victims.chance.uniform(0, victims.seconds))
        found.sorts["started"] += ended(_killed(child)) == 0
        code = ended(forked(victims.words(place), place, _clock(86400)))
        found.sorts[f"resumed: exit code {code}"] += 1
        victims.finish(place, found)
    return found


def _killed(child: int) -> int:
    os.kill(child, signal.SIGKILL)
    return child


def _clock(back: float) -> Harm:
    """Every look at the clock is earlier than the one before."""

    def install() -> None:
        now, looks = time.time(), [0]

        def earlier() -> float:
            looks[0] += 1
            return now - back - 0.01 * looks[0]

        time.time = earlier

    return install
