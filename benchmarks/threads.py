"""How OpenMP's threads wait for each other: quiet, and beside a process that keeps one core busy.

    python benchmarks/threads.py [--rounds 3] [--seconds 8]

Between two parallel parts of a step a thread has nothing to do. It can spin until the next part begins, or
sleep and be woken. Spinning is quicker to begin again, but on a core that another process wants it takes the
time of the very thread it waits for. Each way is tried in a process of its own, since OpenMP reads it once.
The ways take turns. Printed are milliseconds a step: median, and upper quartile.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

WAYS = {
    "OpenMP's default": {},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
    "GOMP_SPINCOUNT=10000": {"GOMP_SPINCOUNT": "10000"},
    "GOMP_SPINCOUNT=100000": {"GOMP_SPINCOUNT": "100000"},
    "one thread less": {"OMP_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) - 1))},
}
METHODS = "dcgan", "dann"
LEAST = 3  # steps, however long they take


def train(seconds: float) -> None:
    """In a process of its own: prints the milliseconds of every step of each method."""
    import torch
    from plain import adaptation, gan

    found = {}
    for name, loop in (("dcgan", gan.DCGAN), ("dann", adaptation.DANN)):
        training = loop(torch.device("cpu"))
        taken: list[float] = []
        training.step()
        end = time.perf_counter() + seconds / len(METHODS)
        while len(taken) < LEAST or time.perf_counter() < end:
            began = time.perf_counter()
            training.step()
            taken.append(1000 * (time.perf_counter() - began))
        found[name] = taken
    print(json.dumps(found))


def steps(way: dict[str, str], seconds: float, busy: bool) -> dict[str, list[float]]:
    """Milliseconds of the steps of each method, beside a busy process or not."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None
    try:
        command = [sys.executable, __file__, "--train", "--seconds", str(seconds)]
        done = subprocess.run(command, env={**clean, **way}, check=True, stdout=subprocess.PIPE)
    finally:
        if other:
            other.kill()
            other.wait()
    found: dict[str, list[float]] = json.loads(done.stdout)
    return found


def main() -> None:
    arguments = _arguments()
    if arguments.train:
        return train(arguments.seconds)
    taken: dict[tuple[str, str, bool], list[float]] = defaultdict(list)
    for _ in range(arguments.rounds):
        for (name, way), busy in itertools.product(WAYS.items(), (False, True)):
            for method, values in steps(way, arguments.seconds, busy).items():
                taken[name, method, busy] += values
    columns = [f"{method}, {state}" for method in METHODS for state in ("quiet", "beside a busy process")]
    print("| " + " | ".join(["way of waiting", *columns]) + " |")
    print("|---" * (1 + len(columns)) + "|")
    for name in WAYS:
        cells = [_cell(taken[name, method, busy]) for method in METHODS for busy in (False, True)]
        print("| " + " | ".join([name, *cells]) + " |")
    return None


def _cell(values: list[float]) -> str:
    _, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.0f} (upper quartile {high:.0f})"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time steps under OpenMP's ways of waiting.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8, help="of each way, in each round")
    parser.add_argument("--train", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
