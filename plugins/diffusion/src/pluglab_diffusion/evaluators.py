"""Pictures of the reverse process."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field

from pluglab.components import Options
from pluglab.protocols import Evaluation, EvaluationContext, Traces
from pluglab.sampling import classes_of, cycled
from pluglab_metrics.figures import grid, image_rows
from pluglab_metrics.roles import RoleData
from pluglab_metrics.sampling import noise


class ReverseProcess:
    """One sample from noise to image at evenly spaced times, and several of them as an animation.

    The noise depends on the run's seed only, so that pictures of several steps show the same samples. A
    class-conditional model shows its classes in turn.
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

    def evaluate(self, trainer: Traces, data: RoleData, context: EvaluationContext) -> Evaluation:
        """Figures `strip` and `animation`."""
        return Evaluation(
            figures={"strip": self._strip(trainer, context), "animation": self._animation(trainer, context)}
        )

    def _strip(self, trainer: Traces, context: EvaluationContext) -> np.ndarray:
        label = torch.tensor([self.config.label], device=context.device) if classes_of(trainer) else None
        frames = self.config.frames
        times, images = trainer.trajectory(1, label, noise(context, "reverse process"), frames)
        captions = [f"t = {t}" for t in times]
        return image_rows([("", images[:, 0], captions)], "reverse process of one sample")

    def _animation(self, trainer: Traces, context: EvaluationContext) -> np.ndarray:
        count, columns = self.config.animated, self.config.columns
        labels = cycled(count, classes_of(trainer))
        asked = None if labels is None else labels.to(context.device)
        generator = noise(context, "animation")
        _, images = trainer.trajectory(count, asked, generator, self.config.animation_frames)
        return np.stack([grid(frame, columns, width=360) for frame in images])
