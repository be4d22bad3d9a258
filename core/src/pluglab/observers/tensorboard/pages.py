"""What is written once: recipe and networks as text, options and results, the page of scores."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from pluglab.comparison.changes import changes_of
from pluglab.protocols import RunInfo
from pluglab.recipe.positions import read_toml
from pluglab.storage.run_folder import ExperimentFolder, RunFolder, is_experiment

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

RESULTS = "results"  # the family of what is reported
TRAINING = {"losses": ["^loss/"], "learning rates": ["^lr/"], "norms of gradients": ["^gradient_norm/"]}
Value = str | float | int | bool


def write_start(writer: SummaryWriter, run: RunInfo) -> None:
    """Recipe and networks as text, and the options of the run."""
    folder = RunFolder(run.folder)
    for name, file in (("recipe", folder.recipe), ("networks", folder.architecture.with_suffix(".txt"))):
        if file.is_file():
            writer.add_text(name, _as_it_is(file.read_text(encoding="utf-8")), 0)
    _write_options(writer, run)


def _as_it_is(text: str) -> str:
    """As a block of Markdown in letters of one width: each line indented."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def _write_options(writer: SummaryWriter, run: RunInfo) -> None:
    from torch.utils.tensorboard.summary import hparams

    _, start, _ = hparams(options_of(run), {})
    writer._get_file_writer().add_summary(start, 0)


def write_results(writer: SummaryWriter, run: RunInfo, results: Mapping[str, Any]) -> None:
    """What is reported of the run, at the step that it is of, beside the run's options."""
    from torch.utils.tensorboard.summary import hparams

    found = {name: value for name, value in results["scalars"].items() if value is not None}
    for name, value in found.items():
        writer.add_scalar(f"{RESULTS}/{name}", value, results["step"])
    headline = [name for name in results.get("headline", ()) if name in found] or list(found)
    experiment, _, end = hparams(options_of(run), {f"{RESULTS}/{name}": 0 for name in headline})
    for summary in (experiment, end):
        writer._get_file_writer().add_summary(summary, results["step"])


def options_of(run: RunInfo) -> dict[str, Value]:
    """The options in which the runs of an experiment differ; of a run by itself those of its trainer."""
    recipes = [read_toml(folder.recipe).data for folder in _together(run) if folder.recipe.is_file()]
    own = read_toml(RunFolder(run.folder).recipe).data
    if len(recipes) > 1:
        options = changes_of([own, *recipes])[0]
    else:
        options = {f"trainer.{key}": value for key, value in own["trainer"].items() if key != "name"}
    known = {"variant": run.variant or run.recipe, "seed": run.seed, "trainer": own["trainer"]["name"]}
    known |= {"steps": run.steps, "batch_size": own["batch_size"]}
    return {**known, **{key: _shown(value) for key, value in options.items() if key != "trainer.name"}}


def _together(run: RunInfo) -> list[RunFolder]:
    parent = run.folder.parent
    return ExperimentFolder(parent).runs() if is_experiment(parent) else [RunFolder(run.folder)]


def _shown(value: Any) -> Value:
    """A number or a word; of a component its name."""
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping) and "name" in value:
        return str(value["name"])
    return "-" if value is None else str(value)


def write_layout(writer: SummaryWriter, scores: Collection[str], step: int) -> None:
    """The page of scores: a chart of each, the curves of all runs over one another; below, the losses."""
    from torch.utils.tensorboard.summary import custom_scalars

    charts = {score: [f"^{re.escape(score)}$"] for score in sorted(scores)}
    pages = {"scores": charts, "training": TRAINING}
    layout = {page: {name: ["Multiline", tags] for name, tags in of.items()} for page, of in pages.items()}
    writer._get_file_writer().add_summary(custom_scalars(layout), step)
