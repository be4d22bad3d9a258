"""Pictures of the reverse process."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field

from pluglab.capabilities import Generates, Traces, can
from pluglab.components import Options
from pluglab.errors import UserError
from pluglab.evaluating import RoleData, classes_of, cycle_labels, noise
from pluglab.figures import image_grid, image_rows
from pluglab.protocols import Evaluation, EvaluationContext, Figure


class ReverseProcess:
    """One sample from noise to image at evenly spaced times, and several of them as an animation.

    They are the first samples of the run's seed, those that `sample_grid` begins with. The one sample is the
    first of its class there, and the animation shows them in the same order. They end alike, but for the
    other times that the sampler passes here.
    """

    class Config(Options):
        frames: int = Field(6, ge=2, le=20)
        """Images of the one sample, noise and result included."""
        label: int = Field(0, ge=0)
        """Class of the one sample, of a class-conditional model."""
        animated: int = Field(20, ge=1, le=100)
        """Samples in the animation."""
        animation_frames: int = Field(41, ge=2)
        """Frames of the animation; 8 a second."""
        columns: int = Field(5, ge=1)
        """Samples a row of the animation."""

    needs: ClassVar[tuple[type, ...]] = (Traces,)

    def __init__(self, config: Config) -> None:
        self.config = config

    def check(self, trainer: Any, data: RoleData) -> Mapping[str, Collection[str]]:
        """Pictures only, of classes and frames that the model has."""
        classes, levels = classes_of(trainer), levels_of(trainer)
        if classes and self.config.label >= classes:
            message = (
                f"the sample is to be of class {self.config.label}, and the model knows 0 to {classes - 1}"
            )
            raise UserError(message, help=["choose another `label`"])
        for name in ("frames", "animation_frames"):
            if levels is not None and getattr(self.config, name) > levels + 1:
                message = f"{getattr(self.config, name)} frames of a reverse process of {levels} levels"
                raise UserError(message, help=[f"choose at most {levels + 1} `{name}`"])
        return {}

    def evaluate(self, trainer: Traces, data: RoleData, context: EvaluationContext) -> Evaluation:
        """Figures `strip` and `animation`."""
        return Evaluation(
            figures={
                "strip": Figure(
                    self._strip(trainer, context), f"The reverse process of {self._one(trainer)}"
                ),
                "animation": Figure(
                    self._animation(trainer, context), "The reverse process of several samples"
                ),
            }
        )

    def _strip(self, trainer: Traces, context: EvaluationContext) -> np.ndarray:
        label, generator = None, noise(context)
        if classes_of(trainer):
            label = torch.tensor([self.config.label], device=context.device)
            pass_over(trainer, self.config.label, generator)  # classes come in turn
        times, images = trainer.trajectory(1, label, generator, self.config.frames)
        captions = [f"t = {t:g}" for t in times]
        return image_rows([("", images[:, 0], captions)], title=f"Reverse process of {self._one(trainer)}")

    def _one(self, trainer: Traces) -> str:
        return f"one sample of class {self.config.label}" if classes_of(trainer) else "one sample"

    def _animation(self, trainer: Traces, context: EvaluationContext) -> np.ndarray:
        count, columns = self.config.animated, self.config.columns
        labels = cycle_labels(count, classes_of(trainer))
        asked = None if labels is None else labels.to(context.device)
        _, images = trainer.trajectory(count, asked, noise(context), self.config.animation_frames)
        return np.stack([image_grid(frame, columns, width=360) for frame in images])


def pass_over(trainer: Any, count: int, generator: torch.Generator) -> None:
    """Draw the noise of the first samples, of a trainer that can."""
    if count and can(trainer, Generates):
        trainer.latents(count, generator)


def levels_of(trainer: Any) -> int | None:
    """How many noise levels a model's reverse process has; None where it does not say."""
    levels: int | None = getattr(getattr(trainer, "process", None), "timesteps", None)
    return levels
