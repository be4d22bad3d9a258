"""Sampling steps against accuracy and seconds, of a trained class-conditional diffusion model.

    python benchmarks/diffusion_steps.py RUN --out steps --data-root DIR

RUN is the folder of a finished `ddpm` run on labeled images. Each sampler draws the same number of images of
every class with each number of steps; `digit_classifier`, trained on the run's data set, reads them. Seconds
are those of drawing alone, after one batch to warm up. It writes steps.md and steps.png.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from pluglab.cli.output import cache_folder, echo
from pluglab.experiments.experiment import Session
from pluglab.observers.console import progress_bar
from pluglab.plugins.loading import load_plugins
from pluglab.protocols import DataContext, Samples
from pluglab.recipe.layers import read_override
from pluglab.recipe.resolve import make
from pluglab.sampling import drawn, set_options
from pluglab.trained import Restored, restore
from pluglab_metrics.figures import new_figure, render, style

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


def measure(
    found: Restored, session: Session, extractor: Any, arguments: argparse.Namespace
) -> Iterable[Row]:
    """A row each sampler and number of steps that the model has levels for."""
    classes, device, size = found.trainer.num_classes, found.fabric.device, arguments.batch_size
    labels = torch.arange(arguments.n) % classes
    for sampler, counts in STEPS.items():
        for steps in (count for count in counts if count <= found.trainer.config.timesteps):
            words = [f"sampler={sampler}", f"steps={steps}", *arguments.set]
            set_options(found.trainer, found.name, list(map(read_override, words)), session.plugins.registry)
            list(drawn(found.trainer, len(labels[:size]), labels[:size], 1, size, device))
            began = time.perf_counter()
            images = torch.cat(list(drawn(found.trainer, arguments.n, labels, 0, size, device)))
            seconds = time.perf_counter() - began
            guesses = torch.cat([extractor(part).logits.argmax(1).cpu() for part in images.split(500)])
            row = Row(sampler, steps, 100 * guesses.eq(labels).double().mean().item(), seconds)
            print(f"{sampler:18} {steps:4} steps {row.accuracy:6.2f} % {row.seconds:7.1f} s", flush=True)
            yield row


def as_markdown(rows: Sequence[Row], notes: Sequence[str]) -> str:
    head = ["| sampler | steps | read as asked, % | seconds |", "|---|---|---|---|"]
    lines = [f"| `{r.sampler}` | {r.steps} | {r.accuracy:.2f} | {r.seconds:.1f} |" for r in rows]
    return "\n".join([*head, *lines, "", *notes]) + "\n"


def draw(rows: Sequence[Row], path: Path) -> None:
    """Accuracy against steps, and against seconds."""
    figure = new_figure(9, 3.6)
    reference = [row.accuracy for row in rows if (row.sampler, row.steps) == REFERENCE]
    for axes, key in zip(figure.subplots(1, 2, sharey=True), ("steps", "seconds"), strict=True):
        for index, sampler in enumerate(STEPS):
            own = [row for row in rows if row.sampler == sampler]
            axes.plot(
                [getattr(r, key) for r in own], [r.accuracy for r in own], label=sampler, **style(index)
            )
        for accuracy in reference:
            label = "200 ancestral steps, minus 1 point"
            axes.axhline(accuracy - 1, color="0.6", linestyle="--", linewidth=1, label=label)
        axes.set_xscale("log")
        axes.set_xlabel(key)
    figure.axes[0].set_ylabel("read as asked, %")
    figure.axes[0].legend(fontsize=8)
    Image.fromarray(render(figure)).save(path)


def main() -> None:
    arguments = _arguments()
    context = DataContext(arguments.data_root, cache_folder(), progress_bar)
    session = Session(load_plugins(), context, echo)
    found = restore(arguments.run, Samples, session, arguments.checkpoint)
    if not getattr(found.trainer, "num_classes", 0):
        raise SystemExit(f"{arguments.run} holds an unconditional model: no class can be asked for")
    dataset = found.recipe.data["train"].dataset
    classifier = make(session.plugins.registry, "feature_extractor", "digit_classifier", dataset=dataset)
    extractor = classifier.build()
    extractor.prepare(context)
    extractor.to(found.fabric.device)
    rows = list(measure(found, session, extractor, arguments))
    own = extractor.notes["network's own accuracy"]
    notes = [
        f"{arguments.n:,} images, {arguments.batch_size} at once; {found.fabric.choice.summary()}, "
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
