"""Pictures of what a generator makes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from pluglab.capabilities import Generates, Samples
from pluglab.components import Options
from pluglab.evaluating import RoleData, class_names, classes_of, cycle_labels, noise, sample_batches
from pluglab.figures import image_grid
from pluglab.protocols import Evaluation, EvaluationContext, Figure


class SampleGrid:
    """The first images that the model makes, unchosen; with classes also a row a class.

    The noise depends on the run's seed only, so that pictures of several steps show the same samples grow. In
    the picture by class a column has the same noise in every row.
    """

    class Config(Options):
        count: int = Field(32, ge=1, le=400)
        """Images in the picture."""
        columns: int = Field(8, ge=1)
        """Images a row."""
        per_class: int = Field(10, ge=1, le=40)
        """Images of each class in the picture by class."""
        classes: int = Field(10, ge=1, le=40)
        """Classes shown at most."""
        batch_size: int = Field(100, ge=1)
        """Images a forward pass."""

    needs: ClassVar[tuple[type, ...]] = (Samples,)

    def __init__(self, config: Config) -> None:
        self.config = config

    def check(self, trainer: Any, data: RoleData) -> Mapping[str, Collection[str]]:
        """Pictures only."""
        return {}

    def evaluate(self, trainer: Samples, data: RoleData, context: EvaluationContext) -> Evaluation:
        """Figures `samples`, and `classes` of a class-conditional model."""
        count, classes = self.config.count, classes_of(trainer)
        labels, size = cycle_labels(count, classes), self.config.batch_size
        parts = sample_batches(trainer, count, labels, noise(context), size)
        images = torch.cat(list(parts))
        caption = f"The first {count} images that the model makes after {context.step:,} steps, unchosen"
        figures = {"samples": Figure(image_grid(images, self.config.columns), caption)}
        if classes:
            rows = min(classes, self.config.classes)
            known = class_names(data)
            names = known[:rows] if known else [str(i) for i in range(rows)]
            made = by_class(trainer, rows, self.config.per_class, size, context)
            page = image_grid(made, self.config.per_class, row_names=names)
            words = f"Images of each class after {context.step:,} steps; a column has the same noise"
            figures["classes"] = Figure(page, words)
        return Evaluation(figures=figures)


def by_class(
    trainer: Samples, classes: int, columns: int, batch_size: int, context: EvaluationContext
) -> Tensor:
    """Images class by class, the noise of a column the same in every class.

    A row is what `lab sample -n COLUMNS --labels CLASS` makes.
    """
    rows = (torch.full((columns,), label) for label in range(classes))
    made = (sample_batches(trainer, columns, labels, noise(context), batch_size) for labels in rows)
    return torch.cat([images for row in made for images in row])


class Interpolation:
    """Images on the way between two latents, a pair a row."""

    class Config(Options):
        rows: int = Field(6, ge=1, le=40)
        """Pairs of latents."""
        columns: int = Field(10, ge=2, le=40)
        """Images from one end to the other."""
        path: Literal["spherical", "linear"] = "spherical"
        """'spherical' keeps the norm of Gaussian latents (White 2016); 'linear' is for uniform ones."""

    needs: ClassVar[tuple[type, ...]] = (Generates,)

    def __init__(self, config: Config) -> None:
        self.config = config

    def check(self, trainer: Any, data: RoleData) -> Mapping[str, Collection[str]]:
        """Pictures only."""
        return {}

    def evaluate(self, trainer: Generates, data: RoleData, context: EvaluationContext) -> Evaluation:
        """Figure `pairs`. A class-conditional model shows one class a row."""
        rows, columns = self.config.rows, self.config.columns
        ends = trainer.latents(2 * rows, noise(context))
        between = slerp if self.config.path == "spherical" else torch.lerp
        shares = torch.linspace(0, 1, columns, device=ends.device)
        steps = torch.stack([between(ends[:rows], ends[rows:], share) for share in shares], dim=1)
        labels = cycle_labels(rows, classes_of(trainer))
        made = [
            trainer.generate(row, None if labels is None else labels[i].expand(columns).to(row.device))
            for i, row in enumerate(steps)
        ]
        caption = f"Images on the way between two latents, {self.config.path}, a pair a row"
        return Evaluation(figures={"pairs": Figure(image_grid(torch.cat(made), columns), caption)})


def slerp(a: Tensor, b: Tensor, share: Tensor | float) -> Tensor:
    """(sin((1 - t) w) a + sin(t w) b) / sin w for each row, w the angle between a and b (Shoemake 1985)."""
    x, y = a.flatten(1), b.flatten(1)
    cosine = torch.cosine_similarity(x, y, dim=1).clamp(-1 + 1e-6, 1 - 1e-6).unsqueeze(1)
    angle = cosine.arccos()
    share = torch.as_tensor(share, dtype=x.dtype, device=x.device)
    mixed = ((1 - share) * angle).sin() * x + (share * angle).sin() * y
    return (mixed / angle.sin()).view_as(a)
