"""Data and surroundings of an evaluation, as the engine hands them to an evaluator."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pluglab.data.evaluation_data import Evaluated
from pluglab.data.run_data import DatasetCache, RunData
from pluglab.engine.evaluation import check_promise
from pluglab.engine.untouched import evaluating
from pluglab.errors import UserError
from pluglab.images import Images
from pluglab.plugins import builtin
from pluglab.plugins.registry import Registrar, Registry
from pluglab.plugins.returned import check_evaluation
from pluglab.protocols import Batch, DataContext, Evaluation, EvaluationContext, Progress, RoleData
from pluglab.recipe.positions import parse_toml
from pluglab.recipe.recipe import recipe_file
from pluglab.training import TrainerBase

Splits = Mapping[str, Images]


class SilentBar:
    """A progress bar that shows nothing."""

    def __init__(self, title: str, total: int) -> None: ...
    def __enter__(self) -> SilentBar:
        return self

    def __exit__(self, *exc: object) -> None: ...
    def advance(self, amount: int = 1) -> None: ...


class InMemory:
    """A data set whose splits are at hand."""

    splits: Splits

    def prepare(self, context: DataContext) -> None:
        """Nothing to do."""

    def split(self, name: str) -> Images:
        if name not in self.splits:
            raise UserError(f"there is no split '{name}'", help=[f"splits: {', '.join(self.splits)}"])
        return self.splits[name]


class NoTrainer(TrainerBase):
    """Reads no role, so that the data of any do."""

    roles = ()

    def __init__(self, config: Any, data: Any) -> None: ...
    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, torch.Tensor]:
        raise AssertionError("no evaluator trains")


def role_data(
    roles: Mapping[str, Images | Splits], *, checking: bool = False, evaluated: Evaluated | None = None
) -> RoleData:
    """Images of each role, alone as all of its splits; on the CPU, or `checking` without their content.

    `evaluated` collects the roles whose labels are read.
    """
    registrar = Registrar("evaluation")
    registrar.add("trainer", "none", NoTrainer)
    for role, images in roles.items():
        splits = {"train": images, "test": images} if isinstance(images, Images) else images
        first = next(iter(splits.values()))
        dataset = type("Dataset", (InMemory,), {"splits": {"train": first, **splits}})
        registrar.add("dataset", f"{role}_images", dataset)
    core = Registrar("core")
    builtin.lab_register(core)
    registry = Registry()
    registry.extend(core.entries, core.kinds)
    registry.extend(registrar.entries)
    lines = ["steps = 1", 'trainer = "none"', *(f'data.{role} = "{role}_images"' for role in roles)]
    recipe = recipe_file([parse_toml("\n".join(lines), "the recipe")], Path("none.toml")).resolve(registry)
    data = RunData(recipe, DatasetCache(DataContext(None, Path("none"), SilentBar)))
    device = None if checking else torch.device("cpu")
    return data.evaluation(evaluated or Evaluated(device))


def context_in(folder: Path, **changes: Any) -> EvaluationContext:
    """The last step of a run in `folder / "run"`, without a history."""
    run = folder / "run"
    context = EvaluationContext(
        label="it",
        step=100,
        steps=100,
        seed=0,
        run_seed=0,
        run=run,
        folder=run / "figures",
        cache=folder / "cache",
        history=(),
        device=torch.device("cpu"),
        earlier=lambda figure: [],
    )
    return replace(context, **changes)


@dataclass(frozen=True)
class Looked:
    """What an evaluator promised before a training, what it found after it, and whose labels it read."""

    promise: Mapping[str, Collection[str]] | None
    found: Evaluation
    labels_read: set[str]


def looked(
    evaluator: Any, trainer: Any, roles: Mapping[str, Images | Splits], context: EvaluationContext
) -> Looked:
    """`check` and then `evaluate`, as the engine calls them, with what it checks of both."""
    promise = evaluator.check(trainer, role_data(roles, checking=True))
    evaluated = Evaluated(context.device)
    with evaluating(trainer, context.seed):
        found = evaluator.evaluate(trainer, role_data(roles, evaluated=evaluated), context)
    found = check_evaluation(evaluator, found)
    check_promise(evaluator, promise, found)
    return Looked(promise, found, evaluated.labels_read)
