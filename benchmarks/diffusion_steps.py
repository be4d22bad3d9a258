"""Sampling steps against accuracy and seconds, of a trained class-conditional diffusion model.

    python benchmarks/diffusion_steps.py RUN --out steps --data-root DIR

RUN is the folder of a finished `ddpm` run on labeled images. Each sampler draws the same number of images of
every class with each number of steps; `digit_classifier`, trained on the run's data set, reads them. Seconds
are those of drawing alone, after one batch to warm up. It writes steps.md and steps.png.
"""

from __future__ import annotations

import argparse
import time
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import pluglab
from pluglab.components import Component
from pluglab.experiments.session import cache_folder
from pluglab.observers.console import progress_bar
from pluglab.protocols import DataContext
from pluglab.recipe.resolve import make
from pluglab.style import UNKNOWN, look
from pluglab.trained import TrainedModel
from pluglab_plots.canvas import new_plot, save, styled

STEPS = {
    "dpm_solver_pp_2m": (4, 6, 8, 10, 12, 15, 20, 25),
    "ddim": (6, 10, 15, 20, 25, 50),
    "ddpm": (50, 100, 200),
}
REFERENCE = ("ddpm", 200)  # ancestral sampling: what fewer steps must reach, minus one point


@dataclass(frozen=True)
class Row:
    """What one sampler did in so many steps: percent of images read as the class asked for, and seconds."""

    sampler: str
    steps: int
    accuracy: float
    seconds: float


def measure(model: TrainedModel, extractor: Any, arguments: argparse.Namespace) -> Iterable[Row]:
    """A row each sampler and number of steps that the model has levels for."""
    size = arguments.batch_size
    labels = torch.arange(arguments.n) % len(model.classes_to_ask)
    for sampler, counts in STEPS.items():
        for steps in (count for count in counts if count <= model.trainer.config.timesteps):
            options = tomllib.loads(
                "\n".join([f'sampler.name = "{sampler}"', f"steps = {steps}", *arguments.set])
            )
            model.sample(size, labels[:size], seed=1, batch_size=size, **options)
            began = time.perf_counter()
            images = model.sample(arguments.n, labels, batch_size=size, **options)
            seconds = time.perf_counter() - began
            on_device = images.to(model.fabric.device).split(500)
            guesses = torch.cat([extractor(part).logits.argmax(1).cpu() for part in on_device])
            row = Row(sampler, steps, 100 * guesses.eq(labels).double().mean().item(), seconds)
            print(f"{sampler:18} {steps:4} steps {row.accuracy:6.2f} % {row.seconds:7.1f} s", flush=True)
            yield row


def classifier(model: TrainedModel, dataset: Component, data_root: Path | None) -> Any:
    """The network that reads the images, trained on the data set of the run."""
    wanted = make(model.registry, "feature_extractor", "digit_classifier", dataset=dataset)
    extractor = wanted.build()
    extractor.prepare(DataContext(data_root, cache_folder(), progress_bar))
    extractor.to(model.fabric.device)
    return extractor


def as_markdown(rows: Sequence[Row], notes: Sequence[str]) -> str:
    head = ["| sampler | steps | read as asked, % | seconds |", "|---|---|---|---|"]
    lines = [f"| `{r.sampler}` | {r.steps} | {r.accuracy:.2f} | {r.seconds:.1f} |" for r in rows]
    return "\n".join([*head, *lines, "", *notes]) + "\n"


def draw(rows: Sequence[Row], path: Path) -> None:
    """Accuracy against steps, and against seconds."""
    with styled():
        figure = new_plot(9, 3.6)
        figure.suptitle("Images that a classifier reads as the class asked for", fontsize=11)
        for axes, key in zip(figure.subplots(1, 2, sharey=True), ("steps", "seconds"), strict=True):
            _panel(axes, rows, key)
        figure.axes[0].set_ylabel("read as asked, %")
        figure.axes[0].legend()
        save(figure, path)


def _panel(axes: Any, rows: Sequence[Row], key: str) -> None:
    for index, sampler in enumerate(STEPS):
        own, style = [row for row in rows if row.sampler == sampler], look(index)
        lines = {"color": style.color, "marker": style.marker, "linestyle": style.line}
        axes.plot([getattr(r, key) for r in own], [r.accuracy for r in own], label=sampler, **lines)
    for accuracy in [row.accuracy for row in rows if (row.sampler, row.steps) == REFERENCE]:
        words = "200 ancestral steps, minus 1 point"
        axes.axhline(accuracy - 1, color=UNKNOWN, linestyle=":", linewidth=1, label=words)
    axes.set_xscale("log")
    axes.set_xlabel(key)


def main() -> None:
    arguments = _arguments()
    model = pluglab.load(arguments.run, step=arguments.checkpoint, data_root=arguments.data_root)
    if not model.classes_to_ask:
        raise SystemExit(f"{arguments.run} holds an unconditional model: no class can be asked for")
    extractor = classifier(model, model.recipe.data["train"].dataset, arguments.data_root)
    rows = list(measure(model, extractor, arguments))
    own = extractor.notes["network's own accuracy"]
    notes = [
        f"{arguments.n:,} images, {arguments.batch_size} at once; {model.fabric.hardware.summary()}, "
        f"{torch.get_num_threads()} threads. Classifier: {own}",
        *(f"`{words}`" for words in arguments.set),
    ]
    text = as_markdown(rows, notes)
    arguments.out.with_suffix(".md").write_text(text)
    draw(rows, arguments.out.with_suffix(".png"))
    print("\n" + text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path, help="run folder of a trained, class-conditional ddpm")
    parser.add_argument(
        "--out", type=Path, default=Path("steps"), help="files to write, without their endings"
    )
    parser.add_argument("-n", type=int, default=1000, help="images of each setting")
    parser.add_argument("--batch-size", type=int, default=250)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--checkpoint", type=int, help="step of the checkpoint; else the reported one")
    parser.add_argument("--set", action="append", default=[], help="option of sampling, as guidance=2.0")
    return parser.parse_args()


if __name__ == "__main__":
    main()
