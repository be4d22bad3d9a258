"""SIGKILL at random moments, and other signals: the run goes on as if there had been none, bit for bit."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.faults.processes import Operations, ended, forked, fresh, send_self
from tests.faults.victims import Found, Victims, phase

CHAIN = 3
"""Kills of one run at most."""
FRESH = 0.1
"""The share of kills of a process that imports everything itself: at its start, mostly."""
AT_A_FILE = 0.45
"""The share of kills just before an operation on a file; the others are at a random time."""
ASKING = signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1
HARSH = signal.SIGQUIT, signal.SIGABRT, signal.SIGSEGV


def kill(victims: Victims, count: int) -> Found:
    """At least so many kills, in as many runs as it takes; by the phase in which they came."""
    found = Found()
    while found.sorts.total() < count:
        place = victims.folder(f"killed/{found.runs}")
        found.runs += 1
        for _ in range(victims.chance.randint(1, CHAIN)):
            if _end(victims, place, signal.SIGKILL) != -signal.SIGKILL:
                break
            found.sorts[phase(place)] += 1
        victims.finish(place, found)
    return found


def ask(victims: Victims, count: int) -> Found:
    """So many runs, each with another signal; by the signal and the exit code."""
    found = Found()
    for number in range(count):
        place = victims.folder(f"asked/{number}")
        found.runs += 1
        asked = (*ASKING, *HARSH)[number % (len(ASKING) + len(HARSH))]
        code = _end(victims, place, asked)
        found.sorts[f"{asked.name} {code}"] += 1
        right = {0, -asked} | ({128 + asked} if asked in ASKING else set())
        if code not in right | ({130} if asked == signal.SIGINT else set()):
            found.wrong.append(f"{place}: exit code {code} after {asked.name}")
        victims.finish(place, found)
    return found


def _end(victims: Victims, place: Path, number: int) -> int:
    """Start or resume a run, and send it a signal. Returns its exit code."""
    words, way, chance = victims.words(place), victims.chance.random(), victims.chance
    if way < FRESH:
        process = fresh(words, place)
        time.sleep(chance.uniform(0, victims.seconds + 4))
        process.send_signal(number)
        return process.wait()
    if way < FRESH + AT_A_FILE:
        at = chance.randint(1, victims.operations)
        return ended(forked(words, place, Operations(place, at, send_self(number)).install))
    return _sent(forked(words, place), number, chance.uniform(0, victims.seconds))


def _sent(child: int, number: int, seconds: float, sleep: Callable[[float], None] = time.sleep) -> int:
    sleep(seconds)
    os.kill(child, number)  # it is there until we have waited for it
    return ended(child)
