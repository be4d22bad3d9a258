"""What a step costs: each method in the engine beside a loop written by hand, the two taking turns.

    python benchmarks/steps.py [METHOD ...] [--periods 8] [--out docs/performance.md]

The loops are those of `plain`: the same networks, number of parameters by number of parameters, trained as
the widely copied scripts train them. The engine's side is a run of pluglab with progress display,
metrics.jsonl and TensorBoard. After each of its logging periods it waits while the loop does as many steps,
in a process of its own, as a script would be: how memory and threads are treated holds for a whole process.
So both see the same machine, and what else that machine does falls on both alike; how much that was is
measured and printed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from pluglab.cli import threads

UNTOUCHED = dict(os.environ)
threads.choose()  # as `lab` does, before torch is there

import psutil  # noqa: E402
import torch  # noqa: E402
from plain import Loop, adaptation, autoencoder, diffusion, gan, style  # noqa: E402

import pluglab  # noqa: E402
from pluglab import Images, Observer, Options  # noqa: E402
from pluglab.protocols import DataContext, RunInfo  # noqa: E402

HERE = Path(__file__)


@dataclass(frozen=True)
class Case:
    """A method as the engine trains it by default, and the loop that it is held beside."""

    loop: type[Loop]
    trainer: dict[str, Any]
    period: int
    """Steps from one log to the next."""

    def recipe(self, periods: int, run: Mapping[str, Any], out: Path) -> dict[str, Any]:
        size = {"name": "any_images", "size": self.loop.size}
        roles = ("source", "target") if self.loop.__module__.endswith("adaptation") else ("train",)
        observers = ["console", "tensorboard", {"name": "beside", "method": name_of(self), "out": str(out)}]
        return {
            "title": "benchmark",
            "steps": self.period * (periods + 1),
            "log_every": self.period,
            "checkpoint_every": 10**6,
            "batch_size": self.loop.batch,
            "trainer": self.trainer,
            "data": dict.fromkeys(roles, size),
            "run": {**run, "observers": observers},
        }


def _da(name: str, encoder: str, **options: Any) -> dict[str, Any]:
    return {"name": name, "encoder": encoder, "batch_norm": "joint", **options}


CASES = {
    "dcgan": Case(gan.DCGAN, {"name": "dcgan"}, 5),
    "acgan": Case(gan.ACGAN, {"name": "acgan", "preset": "printed"}, 20),
    "sagan": Case(gan.SAGAN, {"name": "sagan", "attention_pooling": False}, 3),
    "stylegan2_lite": Case(
        style.StyleGAN2,
        {"name": "stylegan2_lite", "width": 16, "attention_heads": 1, "latent_size": 128},
        32,
    ),
    "vae": Case(autoencoder.VAE, {"name": "vae", "networks": {"name": "convolutional", "norm": "none"}}, 20),
    "ddpm, double_conv": Case(diffusion.DoubleConvDiffusion, {"name": "ddpm", "denoiser": "double_conv"}, 3),
    "ddpm, residual": Case(
        diffusion.ResidualDiffusion, {"name": "ddpm", "denoiser": "residual", "timesteps": 200}, 2
    ),
    "dann": Case(adaptation.DANN, _da("dann", "dann_i"), 50),
    "dsn": Case(adaptation.DSN, _da("dsn", "dsn_paper"), 25),
    "adda": Case(adaptation.ADDA, _da("adda", "lenet", pretraining=1e-6), 50),
}


def name_of(case: Case) -> str:
    return next(name for name, other in CASES.items() if other.loop is case.loop)


# What the engine's side needs: images, and an observer that lets the loop take its turn ------------------


class AnyImages:
    """Random images of ten classes: a step takes as long for them as for others."""

    class Config(Options):
        size: int
        count: int = 4096

    def __init__(self, config: Config) -> None:
        self.config = config

    def prepare(self, context: DataContext) -> None: ...

    def split(self, name: str) -> Images:
        c, generator = self.config, torch.Generator().manual_seed(0)
        pixels = torch.randint(256, (c.count, 3, c.size, c.size), dtype=torch.uint8, generator=generator)
        return Images(pixels, torch.arange(c.count) % 10, tuple("0123456789"), {"made of": "random numbers"})


class Beside(Observer):
    """At every log of the engine the loop does as many steps. Writes the seconds of both sides."""

    class Config(Options):
        method: str
        out: Path

    def __init__(self, config: Config) -> None:
        self.config = config

    def run_started(self, run: RunInfo, step: int) -> None:
        command = [sys.executable, str(HERE), "--serve", self.config.method]
        command += ["--threads", str(torch.get_num_threads())]
        pipe = subprocess.PIPE
        self.other = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=UNTOUCHED)
        self.rows: list[dict[str, float]] = []
        self._turn()  # warms up
        self.resumed = time.perf_counter()

    def step_logged(self, run: RunInfo, step: int, scalars: Mapping[str, float]) -> None:
        engine = time.perf_counter() - self.resumed
        foreign = Foreign()
        turn = self._turn()
        busy = foreign.share(turn["cpu"])
        self.rows.append({"engine": engine, "loop": turn["seconds"], "foreign": busy})
        if len(self.rows) > 1:  # the engine's first period warms up
            facts = {"parameters": turn["parameters"], "rows": self.rows[1:]}
            self.config.out.write_text(json.dumps(facts))
        self.resumed = time.perf_counter()

    def _turn(self) -> dict[str, float]:
        assert self.other.stdin is not None and self.other.stdout is not None
        print("go", file=self.other.stdin, flush=True)
        told: dict[str, float] = json.loads(self.other.stdout.readline())
        return told

    def run_finished(self, run: RunInfo, status: str, results: Mapping[str, Any]) -> None:
        self.other.communicate()


def serve(case: Case) -> None:
    """The loop's side: at every line that comes in, as many steps as the engine logs at once."""
    cuda = torch.cuda.is_available()
    loop = case.loop(torch.device("cuda" if cuda else "cpu"))
    for _ in sys.stdin:
        began, used = time.perf_counter(), time.process_time()
        for _ in range(case.period):
            loop.step()
        if cuda:
            torch.cuda.synchronize()
        facts = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - used}
        print(json.dumps({**facts, "parameters": loop.parameters()}), flush=True)


class Foreign:
    """What others than the two sides use of this machine's cores, from its making on."""

    def __init__(self) -> None:
        self.before = self._read()

    def _read(self) -> tuple[float, float, float]:
        busy = psutil.cpu_times()
        own = psutil.Process().cpu_times()
        return busy.user + busy.system + busy.nice, own.user + own.system, time.perf_counter()

    def share(self, theirs: float) -> float:
        """Cores, on average, besides the `theirs` seconds that the other side computed."""
        busy, own, now = (after - before for after, before in zip(self._read(), self.before, strict=True))
        return max(0.0, busy - own - theirs) / now


def lab_register(registry: pluglab.Registrar) -> None:
    registry.add("dataset", "any_images", AnyImages, summary="random images, for timings")
    registry.add("observer", "beside", Beside, summary="lets a plain loop take turns with the engine")


# The measurement ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sides:
    """Milliseconds a step of each period, and what was in the way."""

    name: str
    parameters: int
    engine: Sequence[float]
    loop: Sequence[float]
    foreign: float

    def cells(self) -> list[str]:
        share = statistics.median(a / b for a, b in zip(self.engine, self.loop, strict=True))
        return [self.name, f"{self.parameters:,}", _spread(self.engine), _spread(self.loop), f"{share:.2f}"]


def _spread(values: Sequence[float]) -> str:
    """Median, and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    places = 1 if middle < 100 else 0
    return f"{middle:.{places}f} ({low:.{places}f} to {high:.{places}f})"


def measure(name: str, case: Case, arguments: argparse.Namespace) -> Sides:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "periods.json"
        run = {"precision": arguments.precision, "compile": arguments.compile, "threads": arguments.threads}
        with contextlib.redirect_stderr(io.StringIO()):
            runs = pluglab.run(case.recipe(arguments.periods, run, out), run_dir=folder, plugins=[HERE])
        found = json.loads(out.read_text())
        check_networks(name, runs, found["parameters"])
    milliseconds = {
        side: [1000 * row[side] / case.period for row in found["rows"]] for side in ("engine", "loop")
    }
    foreign = statistics.fmean(row["foreign"] for row in found["rows"])
    return Sides(name, found["parameters"], milliseconds["engine"], milliseconds["loop"], foreign)


def check_networks(name: str, runs: Any, parameters: int) -> None:
    """Raises `SystemExit` where the two sides did not train networks of one size."""
    networks = runs.load().networks().values()
    counted = {id(p): p.numel() for network, _ in networks for p in network.parameters()}
    if abs(sum(counted.values()) - parameters) > 0.001 * parameters:
        raise SystemExit(
            f"{name}: {sum(counted.values()):,} parameters in the engine, {parameters:,} in the loop"
        )


COLUMNS = ["method", "parameters", "engine, ms a step", "plain loop, ms a step", "engine / loop"]


def machine(arguments: argparse.Namespace) -> str:
    if torch.cuda.is_available():
        where = torch.cuda.get_device_name()
    else:
        where = f"{arguments.threads} threads of {processor()}"
    return f"{where}, torch {torch.__version__}, engine in {arguments.precision}"


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "this processor")


def main() -> None:
    arguments = _arguments()
    if arguments.serve:
        torch.set_num_threads(arguments.threads)
        return serve(CASES[arguments.serve])
    say: Callable[[Sequence[str]], None] = lambda cells: print("| " + " | ".join(cells) + " |", flush=True)  # noqa: E731
    print(machine(arguments))
    say(COLUMNS)
    say(["---"] * len(COLUMNS))
    busiest = 0.0
    for name in arguments.methods or CASES:
        sides = measure(name, CASES[name], arguments)
        busiest = max(busiest, sides.foreign)
        say(sides.cells())
    print(f"other processes took up to {busiest:.2f} cores")
    return None


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time steps in the engine against loops by hand.")
    parser.add_argument("methods", nargs="*", metavar="METHOD", help=f"of {list(CASES)}; all by default")
    parser.add_argument("--periods", type=int, default=8, help="logging periods that are timed")
    parser.add_argument("--precision", choices=("auto", "32", "bf16"), default="auto")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of the CPU")
    parser.add_argument("--compile", action="store_true", help="let the engine compile its networks")
    parser.add_argument("--serve", choices=CASES, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
