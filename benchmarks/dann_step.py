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
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from pluglab.data import Stream, derived_seed
from pluglab.data.run_data import Library, Material
from pluglab.engine.engine import Engine, seed_everything
from pluglab.engine.hardware import LabFabric, choose
from pluglab.observers.console import progress_bar
from pluglab.plugins.loading import Plugins, load_plugins
from pluglab.protocols import DataContext, RunInfo
from pluglab.recipe.recipe import Recipe, load_recipe
from pluglab.storage.history import read_history
from pluglab_domain_adaptation.networks import reverse

RECIPE = """
trainer = "dann"
transforms = ["standardize", "random_affine"]
data.source = "digits"
data.target = "digits_m"
"""


@dataclass(frozen=True)
class Outcome:
    """Of every logging period: milliseconds a step (but for the first), and mean class and domain loss."""

    milliseconds: list[float]
    losses: list[list[float]]


def in_engine(
    recipe: Recipe, material: Material, plugins: Plugins, fabric: LabFabric, folder: Path
) -> Outcome:
    """The run as `lab run` would do it."""
    options = recipe.options
    info = RunInfo(folder, "benchmark", "", 0, options.steps or 0, 2 * options.batch_size)
    Engine(recipe, material, plugins, fabric, info, folder).run()
    plugins.notify("lab_run_finished", run=info, status="finished", results={})
    logs = [event for event in read_history(folder / "metrics.jsonl") if event["type"] == "step"]
    times = [log["time"] for log in logs]
    losses = [[log["scalars"]["loss/class"], log["scalars"]["loss/domain"]] for log in logs]
    return Outcome(_periods(times, options.log_every), losses)


def _periods(times: list[float], steps: int) -> list[float]:
    return [1000 * (after - before) / steps for before, after in pairwise(times)]


class Script:
    """The same training as a script of one's own would do it."""

    def __init__(self, recipe: Recipe, material: Material, fabric: LabFabric) -> None:
        self.options, self.device = recipe.options, fabric.device
        self.bf16 = fabric.choice.precision == "bf16"
        seed_everything(derived_seed("init", recipe.seed))
        self.model = self.options.trainer.build(material.specs())
        networks = self.model.features, self.model.classifier, self.model.discriminator
        layout = torch.channels_last if fabric.choice.channels_last else torch.contiguous_format
        for network in networks:
            network.to(self.device, memory_format=layout).train()
        parameters = [parameter for network in networks for parameter in network.parameters()]
        self.optimizer = self.model.config.optimizer.build(parameters)
        self.source, self.target = (_stream(recipe, material, role, fabric) for role in ("source", "target"))
        size = self.options.batch_size
        self.domains = torch.tensor([0] * size + [1] * size, device=self.device)

    def step(self, step: int, p: float) -> tuple[Tensor, Tensor]:
        model = self.model
        (images, labels), (others, _) = self.source.batch(step), self.target.batch(step)
        assert labels is not None
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            features = model.features(torch.cat([images, others])).float()
            logits = model.classifier(features).chunk(2)[0].float()
            guesses = model.discriminator(reverse(features, model.adaptation(p))).float()
        class_loss = F.cross_entropy(logits, labels, label_smoothing=model.config.label_smoothing)
        domain_loss = F.cross_entropy(guesses, self.domains)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * model.schedule(p)
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


def _stream(recipe: Recipe, material: Material, role: str, fabric: LabFabric) -> Stream:
    return Stream(
        material.training()[role],
        role,
        seed=recipe.seed,
        batch_size=recipe.options.batch_size,
        device=fabric.device,
        transforms=material.transforms[role],
        channels_last=fabric.choice.channels_last,
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
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plugins = load_plugins()
        recipe, material = _load(arguments, plugins, folder)
        fabric = LabFabric(choose(recipe.options.run))
        print(f"{fabric.choice.summary()}, {fabric.choice.threads} threads", flush=True)
        sides: tuple[list[float], list[float]] = ([], [])
        for index in range(arguments.rounds):
            place = folder / str(index)
            place.mkdir()
            ours = in_engine(recipe, material, plugins, fabric, place)
            theirs = Script(recipe, material, fabric).run()
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


def _load(arguments: argparse.Namespace, plugins: Plugins, folder: Path) -> tuple[Recipe, Material]:
    path = folder / "benchmark.toml"
    path.write_text(RECIPE)
    period = max(1, min(50, arguments.steps // 6))
    settings = {
        "steps": arguments.steps // period * period,
        "log_every": period,
        "checkpoint_every": 10 * arguments.steps,
        "batch_size": arguments.batch_size,
        "run.precision": f'"{arguments.precision}"',
        "run.threads": arguments.threads or '"auto"',
    }
    overrides = [f"{key}={value}" for key, value in settings.items()]
    recipe = load_recipe(path, overrides).resolve(plugins.registry)
    context = DataContext(root=None, cache=folder, track=progress_bar)
    return recipe, Material(recipe, Library(context))


if __name__ == "__main__":
    main()
