"""A trainer set up as the engine does it, and trained by hand."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pluglab import Batch, Progress, UserError
from pluglab.conformance import (
    ContractError,
    Hardware,
    LabFabric,
    check_logs,
    seed_everything,
)
from pluglab.training.trainer import modules_of, plain_module, set_mode
from pluglab_testing import tiny
from pluglab_testing.checking import Fault, leaves
from pluglab_testing.subjects import Part

LENGTHS = 6, 20
"""Steps of a training, tried until one is what the trainer takes; even, since it is cut into halves."""
BATCH = 4


@dataclass(frozen=True)
class Setting:
    """What a trainer is tried with."""

    shape: tuple[int, int, int]
    steps: int
    masks: bool = False  # labels are classes of pixels


class Rig:
    """A new trainer of a component on the eight images, `precision` "32" or "bf16"."""

    def __init__(
        self,
        part: Part,
        precision: str = "32",
        setting: Setting | None = None,
        fabric: LabFabric | None = None,
    ) -> None:
        setting = setting or setting_for(part)
        self.part, self.shape, self.steps = part, setting.shape, setting.steps
        self.masks = setting.masks
        self.fabric = fabric or LabFabric(
            Hardware("cpu", 1, precision, True, False, torch.get_num_threads(), "checked")
        )
        self.roles = tuple(part.target.roles)
        part.component()  # what a registry imports may draw
        seed_everything(1)
        self.trainer: Any = part.built(self.specs())
        self.trainer.setup(self.fabric)
        set_mode(self.trainer, "train")

    def specs(self) -> dict[str, Any]:
        return {role.name: tiny.spec(self.shape) for role in self.roles}

    def batch(self, step: int, size: int = BATCH, unlabeled: Sequence[str] = ()) -> dict[str, Batch]:
        """That of a step; a role's labels are there unless it hides them or `unlabeled` names it."""
        found = {}
        for number, role in enumerate(self.roles):
            rows = tiny.rows(self.shape, step * size + number, size, self.masks)
            labels = None if role.labels == "hidden" or role.name in unlabeled else rows.labels
            found[role.name] = Batch(rows.images, labels)
        return found

    def step(self, step: int, batch: Mapping[str, Batch] | None = None) -> dict[str, Tensor]:
        """One step of a training. Raises `ContractError` for what it must not return."""
        with self.fabric.batch():
            logs = self.trainer.step(batch or self.batch(step), Progress(step, self.steps))
        check_logs(self.trainer, logs)
        return {name: value.detach().clone() for name, value in logs.items()}

    def train(self, start: int = 0, stop: int | None = None) -> list[dict[str, Tensor]]:
        """What the steps from `start` to `stop`, or to the end, log."""
        return [self.step(step) for step in range(start, self.steps if stop is None else stop)]

    def state(self) -> dict[str, Any]:
        """A copy of the trainer's state."""
        return {
            name: value.clone() if isinstance(value, Tensor) else value
            for name, value in leaves(self.trainer.state_dict())
        }

    def networks(self) -> dict[str, nn.Module]:
        """Its networks out of their wrappers."""
        return {name: plain_module(module) for name, module in modules_of(self.trainer).items()}


def setting_for(part: Part) -> Setting:
    """Images, labels and a length that the trainer takes. Raises its own refusal of all that is tried."""
    return part.once("setting", lambda: _try_settings(part))


def _try_settings(part: Part) -> Setting:
    shapes = [part.shape] if part.shape else list(tiny.SHAPES)
    refusals = []
    for masks, steps, shape in itertools.product((False, True), LENGTHS, shapes):
        setting = Setting(shape, steps, masks)
        try:
            rig = Rig(part, setting=setting)
        except UserError as error:
            refusals.append(error)
            continue
        try:
            rig.step(0)
        except UserError as error:
            refusals.append(error)
            if isinstance(error, ContractError):
                return setting
        except Exception:  # told by the check of steps
            return setting
        else:
            return setting
    help = (*refusals[0].help, "others: --images CHANNELSxHEIGHTxWIDTH, --set OPTION=VALUE")
    where = refusals[0].where
    raise Fault(refusals[0].message, help=help, where=where) from refusals[0]


def saved(state: Any) -> io.BytesIO:
    """A state as a checkpoint holds it."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return file


@contextmanager
def evaluation_mode(rig: Rig) -> Iterator[None]:
    """As the engine puts a trainer before an evaluator looks at it."""
    set_mode(rig.trainer, "eval")
    try:
        with torch.no_grad():
            yield
    finally:
        set_mode(rig.trainer, "train")
