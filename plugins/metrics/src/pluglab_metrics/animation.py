"""A film of the training: the same samples at every look."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from pydantic import Field

from pluglab.capabilities import Samples
from pluglab.components import Options
from pluglab.evaluating import RoleData, classes_of, cycle_labels, noise, sample_batches
from pluglab.figures import image_grid
from pluglab.protocols import Evaluation, EvaluationContext, Figure


class TrainingAnimation:
    """The same noise, turned into images at every evaluation: a still each time, and at the end their film.

    Give it an `every`. The stills lie with the run's other pictures, so a resumed run has them all.
    """

    class Config(Options):
        count: int = Field(32, ge=1, le=400)
        """Images in a frame."""
        columns: int = Field(8, ge=1)
        """Images a row."""
        width: int = Field(480, ge=1)
        """Pixels that a frame is at least wide; images are enlarged by a whole factor."""
        batch_size: int = Field(100, ge=1)
        """Images a forward pass."""

    needs: ClassVar[tuple[type, ...]] = (Samples,)

    def __init__(self, config: Config) -> None:
        self.config = config

    def check(self, trainer: Any, data: RoleData) -> Mapping[str, Collection[str]]:
        """Pictures only."""
        return {}

    def evaluate(self, trainer: Samples, data: RoleData, context: EvaluationContext) -> Evaluation:
        """Figure `frame`; after the last step also `film`, of this and all earlier frames."""
        frame = self._frame(trainer, context)
        figures = {
            "frame": Figure(frame, f"The same {self.config.count} samples after {context.step:,} steps")
        }
        if context.step == context.steps:
            frames = [*map(_read, context.earlier("frame")), frame]
            figures["film"] = Figure(
                np.stack(frames), f"The same samples as training goes on: {len(frames)} looks"
            )
        return Evaluation(figures=figures)

    def _frame(self, trainer: Samples, context: EvaluationContext) -> np.ndarray:
        labels = cycle_labels(self.config.count, classes_of(trainer))
        parts = sample_batches(trainer, self.config.count, labels, noise(context), self.config.batch_size)
        return image_grid(torch.cat(list(parts)), self.config.columns, width=self.config.width)


def _read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))
