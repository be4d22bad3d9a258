"""Sampling steps against accuracy and seconds, of trained class-conditional diffusion models.

    python benchmarks/diffusion_steps.py RUN... --out steps --data-root DIR

Each RUN is the folder of a finished run of `ddpm`, `flow_matching` or `edm` on labeled images, all on the
same. Each sampler draws the same number of images of every class with each number of steps;
`digit_classifier`, trained on the runs' data set, reads them. Seconds are CPU seconds of drawing alone, all
threads together, after one batch to warm up. It writes steps.md and steps.png.
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
from pluglab.style import look
from pluglab.trained import TrainedModel
from pluglab_plots.canvas import new_plot, save, styled

STEPS = {
    "dpm_solver_pp_2m": (2, 3, 4, 6, 8, 12, 25),
    "euler": (3, 4, 6, 8, 12, 25),
    "heun": (2, 3, 4, 6, 12),
    "ddpm": (25, 50),
}


@dataclass(frozen=True)
class Row:
    """What one sampler did in so many steps: percent of images read as the class asked for, and seconds."""

    model: str
    sampler: str
    steps: int
    accuracy: float
    seconds: float


def measure(model: TrainedModel, extractor: Any, arguments: argparse.Namespace) -> Iterable[Row]:
    """A row each sampler and number of steps that the model has levels for."""
    size, levels = arguments.batch_size, model.trainer.process.timesteps
    labels = torch.arange(arguments.n) % len(model.classes_to_ask)
    for sampler in arguments.sampler or STEPS:
        for steps in (count for count in arguments.steps or STEPS[sampler] if count <= (levels or count)):
            options = tomllib.loads(
                "\n".join([f'sampler.name = "{sampler}"', f"steps = {steps}", *arguments.set])
            )
            model.sample(size, labels[:size], seed=1, batch_size=size, **options)
            began = time.process_time()
            images = model.sample(arguments.n, labels, batch_size=size, **options)
            seconds = time.process_time() - began
            on_device = images.to(model.fabric.device).split(500)
            guesses = torch.cat([extractor(part).logits.argmax(1).cpu() for part in on_device])
            row = Row(model.name, sampler, steps, 100 * guesses.eq(labels).double().mean().item(), seconds)
            print(
                f"{model.name:14} {sampler:18} {steps:4} steps {row.accuracy:6.2f} % {row.seconds:7.1f} s",
                flush=True,
            )
            yield row


def classifier(model: TrainedModel, dataset: Component, data_root: Path | None) -> Any:
    """The network that reads the images, trained on the data set of the run."""
    wanted = make(model.registry, "feature_extractor", "digit_classifier", dataset=dataset)
    extractor = wanted.build()
    extractor.prepare(DataContext(data_root, cache_folder(), progress_bar))
    extractor.to(model.fabric.device)
    return extractor


def as_markdown(rows: Sequence[Row], notes: Sequence[str]) -> str:
    head = ["| model | sampler | steps | read as asked, % | CPU seconds |", "|---|---|---|---|---|"]
    lines = [
        f"| `{r.model}` | `{r.sampler}` | {r.steps} | {r.accuracy:.1f} | {r.seconds:.1f} |" for r in rows
    ]
    return "\n".join([*head, *lines, "", *notes]) + "\n"


def draw(rows: Sequence[Row], path: Path) -> None:
    """A panel a model: accuracy against seconds, the number of steps at each point."""
    models = list(dict.fromkeys(row.model for row in rows))
    with styled():
        figure = new_plot(1.5 + 3.6 * len(models), 3.8)
        figure.suptitle("Images that a classifier reads as the class asked for", fontsize=11)
        panels = figure.subplots(1, len(models), sharey=True, sharex=True, squeeze=False)[0]
        for axes, model in zip(panels, models, strict=True):
            _panel(axes, [row for row in rows if row.model == model])
            axes.set_title(model, fontsize=10)
        panels[0].set_ylabel("read as asked, %")
        panels[-1].legend(loc="lower right")
        save(figure, path)


def _panel(axes: Any, rows: Sequence[Row]) -> None:
    for index, sampler in enumerate(STEPS):
        own, style = [row for row in rows if row.sampler == sampler], look(index)
        lines = {"color": style.color, "marker": style.marker, "linestyle": style.line}
        axes.plot([row.seconds for row in own], [row.accuracy for row in own], label=sampler, **lines)
        for row in own:
            place = {"xytext": (0, 5), "textcoords": "offset points", "ha": "center", "fontsize": 7}
            axes.annotate(str(row.steps), (row.seconds, row.accuracy), color=style.color, **place)
    axes.set_xscale("log")
    axes.set_xlabel("CPU seconds")


def main() -> None:
    arguments = _arguments()
    rows, extractor = list[Row](), None  # one network reads the images of all models
    for run in arguments.run:
        model = pluglab.load(run, step=arguments.checkpoint, data_root=arguments.data_root)
        if not model.classes_to_ask:
            raise SystemExit(f"{run} holds an unconditional model: no class can be asked for")
        extractor = extractor or classifier(model, model.recipe.data["train"].dataset, arguments.data_root)
        rows += measure(model, extractor, arguments)
    own = "" if extractor is None else extractor.notes["network's own accuracy"]
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
    parser.add_argument("run", type=Path, nargs="+", help="run folder of a trained, class-conditional model")
    parser.add_argument(
        "--out", type=Path, default=Path("steps"), help="files to write, without their endings"
    )
    parser.add_argument("-n", type=int, default=1000, help="images of each setting")
    parser.add_argument("--batch-size", type=int, default=250)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--checkpoint", type=int, help="step of the checkpoint; else the reported one")
    parser.add_argument("--sampler", action="append", choices=list(STEPS), help="only this; may be repeated")
    parser.add_argument("--steps", type=int, action="append", help="only so many; may be repeated")
    parser.add_argument("--set", action="append", default=[], help="option of sampling, as guidance=2.0")
    return parser.parse_args()


if __name__ == "__main__":
    main()
