"""What share of the core's bf16 arithmetic the steps of a method reach.

    python benchmarks/limit.py [METHOD ...] [--steps 6]

The floating-point operations of a step (convolutions, products, attention, by torch's counter) over its CPU
seconds on one thread, beside the rate of large convolutions on the same thread, measured before and after.
CPU seconds, since what else the machine does then matters little.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import torch
from steps import CASES, HERE, Case
from torch.utils.flop_counter import FlopCounterMode

import pluglab
from pluglab.plugins.loading import load_plugins

LARGE = 32, 256, 14  # images, channels and pixels a side of the convolution whose rate is the limit
COUNTED = 2  # the step, from 0, whose operations are counted; it and those before are not timed


def limit() -> float:
    """Operations a second of the quickest of some large convolutions in bf16, channels_last."""
    images, width, side = LARGE
    x = torch.randn(images, width, side, side).bfloat16().contiguous(memory_format=torch.channels_last)
    weight = torch.randn(width, width, 3, 3).bfloat16().contiguous(memory_format=torch.channels_last)
    taken = []
    for _ in range(20):
        began = time.process_time()
        torch.conv2d(x, weight, padding=1)
        taken.append(time.process_time() - began)
    return 2 * images * side**2 * width**2 * 9 / min(taken)


class Watched:
    """Steps of a trainer's class: their CPU seconds, and the operations of one."""

    def __init__(self, trainer: type[Any]) -> None:
        self.seconds: list[float] = []
        self.operations = 0
        self.step = trainer.step
        trainer.step = lambda *words: self._watched(*words)

    def _watched(self, *words: Any) -> Any:
        if len(self.seconds) == COUNTED:
            with FlopCounterMode(display=False) as counter:
                found = self.step(*words)
            self.operations = counter.get_total_flops()
            self.seconds.append(0.0)
            return found
        began = time.process_time()
        found = self.step(*words)
        self.seconds.append(time.process_time() - began)
        return found


def measure(name: str, case: Case, steps: int) -> str:
    registry = load_plugins([HERE]).registry
    watched = Watched(registry.find("trainer", case.trainer["name"]).load())
    before = limit()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        recipe = case.recipe(1, {"threads": 1}, Path(folder) / "unused.json")
        last = COUNTED + 1 + steps
        recipe |= {"steps": last, "log_every": last, "run": {"threads": 1, "observers": []}}
        pluglab.run(recipe, run_dir=folder, plugins=[HERE])
    rate = watched.operations / statistics.median(watched.seconds[COUNTED + 1 :])
    most = max(before, limit())
    cells = [name, f"{watched.operations / 1e9:.1f}", f"{rate / 1e9:.0f}", f"{most / 1e9:.0f}"]
    return " | ".join([*cells, f"{100 * rate / most:.0f} %"])


def main() -> None:
    parser = argparse.ArgumentParser(description="Share of the bf16 limit that steps reach, on one thread.")
    parser.add_argument("methods", nargs="*", metavar="METHOD", help=f"of {list(CASES)}; all by default")
    parser.add_argument("--steps", type=int, default=6, help="steps that are timed")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| method | GFLOP a step | GFLOP/s | large convolutions, GFLOP/s | share |\n|---|---|---|---|---|")
    for name in arguments.methods or CASES:
        print(f"| {measure(name, CASES[name], arguments.steps)} |", flush=True)


if __name__ == "__main__":
    main()
