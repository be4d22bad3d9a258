"""What people wait for besides steps: starting, evaluating, sampling, saving, leaving.

    python benchmarks/commands.py [--rounds 5] [--beside OTHER/bin/python]

Each command is run as a person runs it, as often as asked, and its median is printed. With `--beside` the
same is done by another environment that pluglab is installed in, such as one of an older version. The two
take turns.
"""

from __future__ import annotations

import argparse
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

RECIPES = Path(__file__).resolve().parent.parent / "recipes"
DANN = str(RECIPES / "dann_digits.toml")
DDPM = str(RECIPES / "ddpm_digits.toml")
QUICK = ["--set", "seeds=[0]", "--variant", "DANN"]


@dataclass(frozen=True)
class Done:
    """A command that has ended: seconds in all, seconds after its last output, and MB at most."""

    seconds: float
    leaving: float
    memory: float
    output: str


def call(python: str, words: Sequence[str]) -> Done:
    """`lab` with these words. Raises `SystemExit` where it fails."""
    code = "import sys; from pluglab.cli import main; main()"
    began = last = time.perf_counter()
    child = subprocess.Popen(
        [python, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert child.stdout is not None
    lines = []
    for line in child.stdout:
        lines.append(line)
        last = time.perf_counter()
    _, status, used = os.wait4(child.pid, 0)
    ended = time.perf_counter()
    if status:
        raise SystemExit(f"{' '.join(words)} failed:\n{''.join(lines)}")
    return Done(ended - began, ended - last, used.ru_maxrss / 1024, "".join(lines))


def prepare(python: str, folder: Path) -> Mapping[str, Path]:
    """Runs to look at: one adapted, one that draws digits in color with the default denoiser."""
    short = ["--run-dir", str(folder)]
    call(python, ["run", DANN, *QUICK, "--set", "steps=40", *short, "--set", "title=adapted"])
    drawn = ["--set", 'data.train={name="digits_m",size=28}', "--set", "steps=2", "--set", "evaluate=[]"]
    drawn += ["--set", 'trainer.denoiser={name="unet"}']
    call(python, ["run", DDPM, *drawn, *short, "--set", "title=drawn"])
    found = {json.loads(path.read_text())["recipe"]: path.parent for path in folder.rglob("run.json")}
    return {**found, "all": folder}


def measures(runs: Mapping[str, Path]) -> dict[str, Callable[[str], float]]:
    """What is measured, each in the unit that its name tells."""

    def seconds(words: Sequence[str]) -> Callable[[str], float]:
        return lambda python: call(python, words).seconds

    first = ["run", DANN, *QUICK, "--set", "steps=1", "--set", "log_every=1", "--set", "evaluate=[]"]
    return {
        "lab --help, s": seconds(["--help"]),
        "lab show trainer dann, s": seconds(["show", "trainer", "dann"]),
        "lab list runs, s": seconds(["list", "runs", "--run-dir", str(runs["all"])]),
        "lab list runs, MB": lambda python: (
            call(python, ["list", "runs", "--run-dir", str(runs["all"])]).memory
        ),
        "lab compare, s": seconds(["compare", str(runs["all"])]),
        "lab describe dann_digits, s": seconds(["describe", DANN]),
        "lab run dann_digits --dry-run, s": seconds(["run", DANN, "--dry-run"]),
        "lab run: to its first step, s": lambda python: to_first_step(python, first),
        "lab run: from its last line to the prompt, s": lambda python: leaving(python, first),
        "lab evaluate of an adapted run, s": seconds(["evaluate", str(runs["adapted"])]),
        "lab sample -n 1000, guided, 28 x 28 in color, s": lambda python: sampled(python, runs["drawn"]),
    }


def to_first_step(python: str, words: Sequence[str]) -> float:
    """Seconds from the call to the line that logs the first step."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.time()
        call(python, [*words, "--run-dir", folder])
        (history,) = Path(folder).rglob("metrics.jsonl")
        events = map(json.loads, history.read_text().splitlines())
        return next(float(event["time"]) for event in events if event["type"] == "step") - began


def leaving(python: str, words: Sequence[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        return call(python, [*words, "--run-dir", folder]).leaving


def sampled(python: str, run: Path) -> float:
    with tempfile.TemporaryDirectory() as folder:
        options = ["-n", "1000", "--set", "guidance=3.0", "--out", f"{folder}/images"]
        return call(python, ["sample", str(run), *options]).seconds


def main() -> None:
    arguments = _arguments()
    sides = [*arguments.beside, sys.executable]
    with tempfile.TemporaryDirectory() as folder:
        runs = prepare(sides[0], Path(folder))
        print("| " + " | ".join(["", *(["before"] * len(arguments.beside)), "now"]) + " |")
        print("|---" * (1 + len(sides)) + "|")
        for name, measure in measures(runs).items():
            taken: list[list[float]] = [[] for _ in sides]
            for _ in range(arguments.rounds):
                for python, values in zip(sides, taken, strict=True):
                    values.append(measure(python))
            cells = [f"{statistics.median(values):.2f}" for values in taken]
            print("| " + " | ".join([name, *cells]) + " |", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time whole commands.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--beside", nargs="*", default=[], metavar="PYTHON", help="of another environment")
    return parser.parse_args()


if __name__ == "__main__":
    main()
