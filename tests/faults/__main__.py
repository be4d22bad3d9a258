"""`python -m tests.faults`: what may befall a run, many times over, and one table of what came of it."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from pluglab.cli.output import print_table
from tests.faults import damage, disk, doubles, kills
from tests.faults.families import FAMILIES
from tests.faults.victims import Found, Victims

Fault = Callable[[Victims, int], Found]
FAULTS: dict[str, tuple[Fault, float]] = {
    "SIGKILL": (kills.kill, 1),
    "other signals": (kills.ask, 0.28),
    "no space from an operation on": (disk.fill, 0.2),
    "file system too small": (disk.shrink, 0.1),
    "damaged file": (damage.damage, 0.5),
    "starts together": (doubles.start_together, 0.02),
    "resumed while running": (doubles.resume_together, 0.03),
    "clock backwards": (doubles.turn_back, 0.05),
}
"""Each with how often it comes for one SIGKILL."""
COLUMNS = "family", "fault", "tried", "runs", "of which", "wrong"


def main() -> int:
    given = _parser().parse_args()
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    start, rows, wrong = time.process_time(), [], []
    with nullcontext(given.keep) if given.keep else tempfile.TemporaryDirectory() as place:
        for family in given.families:
            victims = Victims(family, Path(place) / family, given.seed)
            for name in given.faults:
                fault, share = FAULTS[name]
                found = fault(victims, max(1, round(share * given.kills)))
                rows.append(_row(family, name, found))
                wrong += found.wrong
                print(f"{family}, {name}: {rows[-1]}", file=sys.stderr, flush=True)
    print_table(COLUMNS, rows)
    print("\n".join(wrong) or "Nothing was lost.")
    print(f"{(time.process_time() - start) / 60:.1f} minutes of this process alone", file=sys.stderr)
    return int(bool(wrong))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="of each family; the rest by its share")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=list(FAULTS))
    parser.add_argument("--keep", type=Path, help="a new folder that keeps everything")
    return parser


def _row(family: str, name: str, found: Found) -> list[object]:
    sorts = ", ".join(f"{sort}: {count}" for sort, count in sorted(found.sorts.items()) if count)
    return [family, name, found.sorts.total(), found.runs, sorts, len(found.wrong)]


if __name__ == "__main__":
    sys.exit(main())
