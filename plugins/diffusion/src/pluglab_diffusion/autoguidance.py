"""Autoguidance (Karras et al. 2024, arXiv:2406.02507): a model guided away from a worse version of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import pluglab
from pluglab.components import dump_options
from pluglab.errors import UserError
from pluglab_diffusion.sampling import Network


def guide_of(where: str, trainer: Any) -> Network:
    """The averaged network of another run, or of an earlier checkpoint: RUN or RUN@STEP.

    Raises `UserError` where it does not predict what `trainer` does, of the same images and classes.
    """
    folder, step = _split(where)
    with torch.random.fork_rng():
        other = pluglab.load(folder, step=step, run={"threads": torch.get_num_threads()}).trainer
    if not isinstance(other, type(trainer)) or _predicts(other) != _predicts(trainer):
        message = f"the guide {where} does not predict what this model does"
        raise UserError(message, help=["choose an earlier checkpoint of the same run: RUN@STEP"])
    average = other.ema

    def guide(x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        output: Tensor = average(x, t, labels)
        return output

    return guide


def _split(where: str) -> tuple[Path, int | None]:
    folder, at, step = where.rpartition("@")
    return (Path(folder), int(step)) if at and step.isdecimal() else (Path(where), None)


def _predicts(trainer: Any) -> tuple[Any, ...]:
    """What the meaning of an output depends on: the images, the classes, and options of the process."""
    options = dump_options(trainer.config)
    return trainer.spec.shape, trainer.num_classes, [options[name] for name in trainer.meaning]
