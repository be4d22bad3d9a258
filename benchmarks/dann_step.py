"""What the engine costs: one step of `dann` in it against a hand-written loop on the same work.

    python benchmarks/dann_step.py --steps 200 --rounds 5

Both sides have the same initial weights, batches, transforms, arithmetic, memory layout, optimizer and
logging period, so their losses must agree; that is checked first. They take turns in one process, and the
ratio of the medians is printed. The engine's side runs with every observer: progress display,
metrics.jsonl and TensorBoard. Its times are read from metrics.jsonl, from one log to the next, so that
starting and saving do not count; the other side is timed between its own logs. On a machine that does
other things as well, the ratio of the quietest periods says more than that of the medians.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import pluglab
from pluglab.api import Runs
from pluglab.data.batches import Stream
from pluglab.data.run_data import RunData
from pluglab.engine.hardware import LabFabric, resolve_hardware
from pluglab.engine.rng_state import seed_everything
from pluglab.recipe.recipe import Recipe
from pluglab.seeds import derived_seed
from pluglab.storage.run_folder import RunFolder
from pluglab_domain_adaptation.networks import reverse


@dataclass(frozen=True)
class Outcome:
    """Of every logging period: milliseconds a step (but for the first), and mean class and domain loss."""

    milliseconds: list[float]
    losses: list[list[float]]


def in_engine(table: dict[str, Any], folder: Path) -> tuple[Runs, Outcome]:
    """The run as `lab run` does it."""
    with contextlib.redirect_stderr(io.StringIO()):
        runs = pluglab.run(table, run_dir=folder)
    logs = [event for event in RunFolder(runs.folder).history.events() if event["type"] == "step"]
    losses = [[log["scalars"]["loss/class"], log["scalars"]["loss/domain"]] for log in logs]
    return runs, Outcome(_periods([log["time"] for log in logs], table["log_every"]), losses)


def _periods(times: list[float], steps: int) -> list[float]:
    return [1000 * (after - before) / steps for before, after in pairwise(times)]


class Script:
    """The same training as a script of one's own would do it."""

    def __init__(self, recipe: Recipe, data: RunData, fabric: LabFabric) -> None:
        self.options, self.device = recipe.options, fabric.device
        self.bf16 = fabric.hardware.precision == "bf16"
        seed_everything(derived_seed("init", recipe.seed))
        self.model = self.options.trainer.build(data.specs())
        networks = self.model.features, self.model.classifier, self.model.discriminator
        layout = torch.channels_last if fabric.hardware.channels_last else torch.contiguous_format
        for network in networks:
            network.to(self.device, memory_format=layout).train()
        parameters = [parameter for network in networks for parameter in network.parameters()]
        self.optimizer = self.model.config.optimizer.build(parameters)
        self.source, self.target = (_stream(recipe, data, role, fabric) for role in ("source", "target"))
        size = self.options.batch_size
        self.domains = torch.tensor([0] * size + [1] * size, device=self.device)

    def step(self, step: int, p: float) -> tuple[Tensor, Tensor]:
        model = self.model
        source, others = self.source.batch(step), self.target.batch(step).images
        images, labels = source.images, source.labels
        assert labels is not None
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            features = model.features(torch.cat([images, others])).float()
            logits = model.classifier(features).chunk(2)[0].float()
            guesses = model.discriminator(reverse(features, model.adaptation(p))).float()
        class_loss = F.cross_entropy(logits, labels, label_smoothing=model.config.label_smoothing)
        domain_loss = F.cross_entropy(guesses, self.domains)
        for group in self.optimizer.param_groups:
            group["lr"] = group.setdefault("base_lr", group["lr"]) * model.schedule(p)
        self.optimizer.zero_grad()
        (class_loss + model.config.domain_weight * domain_loss).backward()
        self.optimizer.step()
        return class_loss.detach(), domain_loss.detach()

    def run(self) -> Outcome:
        total, period = self.options.steps or 0, self.options.log_every
        sums = torch.zeros(2, device=self.device)
        times: list[float] = []
        losses: list[list[float]] = []
        for step in range(total):
            sums += torch.stack(self.step(step, step / total))
            if (step + 1) % period == 0:
                losses.append((sums / period).tolist())
                times.append(time.perf_counter())
                sums.zero_()
        return Outcome(_periods(times, period), losses)


def _stream(recipe: Recipe, data: RunData, role: str, fabric: LabFabric) -> Stream:
    return Stream(
        data.training()[role],
        role,
        seed=recipe.seed,
        batch_size=recipe.options.batch_size,
        device=fabric.device,
        transforms=data.transforms[role],
        channels_last=fabric.hardware.channels_last,
    )


def check_same_work(engine: Outcome, script: Outcome) -> str:
    """How far the losses are apart. Raises `SystemExit` where the two did different things."""
    pairs = zip(chain(*engine.losses), chain(*script.losses), strict=True)
    worst = max(abs(left - right) / abs(right) for left, right in pairs)
    if worst > 0.01:
        raise SystemExit(f"the two sides did different work: losses differ by up to {worst:.1%}")
    return "losses agree bit for bit" if worst == 0 else f"losses agree to {worst:.1e}"


def main() -> None:
    arguments = _arguments()
    sides: tuple[list[float], list[float]] = ([], [])
    with tempfile.TemporaryDirectory() as folder:
        for index in range(arguments.rounds):
            runs, ours = in_engine(_table(arguments), Path(folder))
            item = runs.experiment.prepared[0]
            fabric = LabFabric(resolve_hardware(item.recipe.options.run))
            if index == 0:
                print(f"{fabric.hardware.summary()}, {fabric.hardware.threads} threads", flush=True)
            theirs = Script(item.recipe, item.data, fabric).run()
            print(f"round {index + 1}: {check_same_work(ours, theirs)}", flush=True)
            _compare("  median", statistics.median, ours.milliseconds, theirs.milliseconds)
            sides[0].extend(ours.milliseconds)
            sides[1].extend(theirs.milliseconds)
    _compare("median of all periods", statistics.median, *sides)
    _compare("quietest period", min, *sides)


def _compare(name: str, pick: Callable[[list[float]], float], ours: list[float], theirs: list[float]) -> None:
    left, right = pick(ours), pick(theirs)
    print(f"{name}: engine {left:.2f} ms, by hand {right:.2f} ms, ratio {left / right:.3f}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time a DANN step in the engine against a loop by hand.")
    parser.add_argument("--steps", type=int, default=200, help="steps a round, the first log's not timed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=64, help="images a domain")
    parser.add_argument("--precision", choices=("auto", "32", "bf16"), default="auto")
    parser.add_argument("--threads", type=int, help="CPU threads; torch's choice by default")
    return parser.parse_args()


def _table(arguments: argparse.Namespace) -> dict[str, Any]:
    """The recipe."""
    period = max(1, min(50, arguments.steps // 6))
    return {
        "title": "benchmark",
        "steps": arguments.steps // period * period,
        "log_every": period,
        "checkpoint_every": 10 * arguments.steps,
        "batch_size": arguments.batch_size,
        "trainer": "dann",
        "transforms": ["standardize", "random_affine"],
        "data": {"source": "digits", "target": "digits_m"},
        "run": {"precision": arguments.precision, "threads": arguments.threads or "auto"},
    }


if __name__ == "__main__":
    main()
