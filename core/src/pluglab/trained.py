"""A trained model out of its run folder, to be used: without its training, and mostly without its data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pluglab.data.run_data import Library, Material
from pluglab.engine.evaluation import words_of
from pluglab.engine.hardware import LabFabric
from pluglab.errors import UserError
from pluglab.experiments.experiment import Session, reread
from pluglab.protocols import ImageSpec
from pluglab.recipe.recipe import Recipe
from pluglab.storage.checkpoints import Checkpoints, check_identity
from pluglab.storage.run_folder import CHECKPOINTS, RunFolder, run_folders
from pluglab.training.trainer import set_mode


@dataclass(frozen=True)
class Restored:
    """A trainer as it was after `step` steps, in evaluation mode. `specs`: what each role's images are."""

    recipe: Recipe
    trainer: Any
    specs: dict[str, ImageSpec]
    step: int
    fabric: LabFabric

    @property
    def name(self) -> str:
        return self.recipe.options.trainer.name


def restore(folder: Path, capability: type, session: Session, step: int | None) -> Restored:
    """The trainer of the run in `folder`: of the step, else the reported one, or the newest.

    Raises `UserError` where there is none, or it lacks the capability.
    """
    run = _only(folder)
    recipe = reread(run, session.plugins)
    _check_able(recipe, capability)
    checkpoints = Checkpoints(run.path / CHECKPOINTS)
    state = checkpoints.state(run.reported_step() if step is None else step)
    check_identity(state, recipe.identity(), folder)
    fabric = session.launch(recipe.options.run.model_copy(update={"devices": 1}))
    specs = _specs(run, recipe, session)
    trainer = recipe.options.trainer.build(specs)
    trainer.setup(fabric)
    trainer.load_state_dict(state["trainer"])
    set_mode(trainer, "eval")
    return Restored(recipe, trainer, specs, state["step"], fabric)


def _only(folder: Path) -> RunFolder:
    runs = run_folders(folder)
    if len(runs) > 1:
        help = [f"give one of its runs: {', '.join(str(run.path) for run in runs)}"]
        raise UserError(f"{folder} holds {len(runs)} runs", help=help)
    return runs[0]


def _check_able(recipe: Recipe, capability: type) -> None:
    if not issubclass(recipe.options.trainer.target, capability):
        able, methods = words_of(capability)
        help = [f"a trainer can {able} if it has {methods}"]
        raise UserError(f"trainer '{recipe.options.trainer.name}' cannot {able}", help=help)


def _specs(run: RunFolder, recipe: Recipe, session: Session) -> dict[str, ImageSpec]:
    """As the run recorded them; one that did not is asked for its data."""
    recorded = run.read().get("specs")
    if recorded is None:
        return Material(recipe, Library(session.context)).specs()
    return {role: ImageSpec(**{**spec, "classes": _names(spec)}) for role, spec in recorded.items()}


def _names(spec: dict[str, Any]) -> tuple[str, ...] | None:
    return None if spec["classes"] is None else tuple(spec["classes"])
