"""Accuracy: overall, by class, and the confusion matrix as a picture."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from pluglab.components import Options
from pluglab.errors import UserError
from pluglab.protocols import Classifies, Evaluation, EvaluationContext, EvaluationData, Table
from pluglab_metrics.figures import new_figure, render
from pluglab_metrics.roles import RoleData, choose


class Accuracy:
    """Share of right predictions in percent, for each role; per class in a table; a confusion matrix each.

    Without `roles`, every role that has labels in the split is judged, the target's too.
    """

    class Config(Options):
        roles: tuple[str, ...] | None = None
        """Roles to judge; all that have labels by default."""
        split: str = "test"
        """Split to judge."""
        batch_size: int = Field(500, ge=1)
        """Images a forward pass."""

    needs: ClassVar[tuple[type, ...]] = (Classifies,)

    def __init__(self, config: Config) -> None:
        self.config = config

    def evaluate(self, trainer: Classifies, data: RoleData, context: EvaluationContext) -> Evaluation:
        """Scalars `accuracy/<role>` (`accuracy/<role>/<split>` for another split than test), in percent."""
        matrices = {part.role: self._confusion(trainer, part) for part in self._labelled(data)}
        names = {role: class_names(data[role][self.config.split]) for role in matrices}
        scalars = {self._scalar(role): percent_right(matrix) for role, matrix in matrices.items()}
        figures = {f"confusion_{role}": self._draw(role, m, names[role]) for role, m in matrices.items()}
        tables = {f"accuracy_{role}": by_class(m, names[role]) for role, m in matrices.items()}
        return Evaluation(scalars, figures, tables, headline=tuple(scalars))

    def _labelled(self, data: RoleData) -> list[EvaluationData]:
        chosen = choose(data, self.config.roles, self.config.split)
        without = [part.role for part in chosen if not part.labelled]
        if self.config.roles and without:
            raise UserError(
                f"role '{without[0]}' has no labels in split '{self.config.split}', so no accuracy",
                help=["take it out of the evaluator's `roles`, or give that role a data set with labels"],
            )
        if len(without) == len(chosen):
            raise UserError(
                f"no role has labels in split '{self.config.split}', so there is no accuracy to measure",
                help=["remove the evaluator 'accuracy', or use a data set with labels"],
            )
        return [part for part in chosen if part.labelled]

    def _confusion(self, trainer: Classifies, data: EvaluationData) -> Tensor:
        batches = data.batches(self.config.batch_size)
        guesses = torch.cat([trainer.predict(images, data.role).argmax(1).cpu() for images in batches])
        return confusion(data.labels, guesses, len(class_names(data)))

    def _scalar(self, role: str) -> str:
        split = self.config.split
        return f"accuracy/{role}" if split == "test" else f"accuracy/{role}/{split}"

    def _draw(self, role: str, matrix: Tensor, names: tuple[str, ...]) -> np.ndarray:
        count = int(matrix.sum())
        title = f"{role}, {self.config.split}: {percent_right(matrix):.2f} % of {count:,} images right"
        return draw_confusion(matrix, names, title)


def class_names(data: EvaluationData) -> tuple[str, ...]:
    """The names of the label values; their numbers where the data set declares no names."""
    return data.spec.classes or tuple(str(i) for i in range(int(data.labels.max()) + 1))


def confusion(labels: Tensor, guesses: Tensor, classes: int) -> Tensor:
    """int64 K x K' counts: a row a true class, a column a guess (K' > K where a guess is no known class)."""
    width = max(classes, int(guesses.max()) + 1)
    return torch.bincount(labels * width + guesses, minlength=classes * width).view(classes, width)


def percent_right(matrix: Tensor) -> float:
    """100 x trace / sum."""
    return 100 * matrix.diagonal().sum().item() / max(1, matrix.sum().item())


def by_class(matrix: Tensor, names: tuple[str, ...]) -> Table:
    """Accuracy and count of each class, and the class that it is most often taken for."""
    rows = []
    for i, (name, row) in enumerate(zip(names, matrix, strict=True)):
        count, wrong = int(row.sum()), row.clone()
        wrong[i] = 0
        mistaken = _name(names, int(wrong.argmax())) if wrong.any() else ""
        accuracy = round(100 * int(row[i]) / count, 2) if count else "no images"
        rows.append((name, accuracy, count, mistaken))
    return Table(("class", "accuracy (%)", "images", "most often taken for"), rows)


def _name(names: tuple[str, ...], index: int) -> str:
    return names[index] if index < len(names) else str(index)


def draw_confusion(matrix: Tensor, names: tuple[str, ...], title: str) -> np.ndarray:
    """The matrix in percent of each true class, annotated up to 20 classes."""
    share = 100 * matrix.double() / matrix.sum(1, keepdim=True).clamp(min=1)
    rows, columns = matrix.shape
    side = min(14.0, max(6.0, 0.55 * columns + 1.5))
    figure = new_figure(side + 0.8, side)
    axes = figure.subplots()
    image = axes.imshow(share.numpy(), cmap="Blues", vmin=0, vmax=100)
    axes.set_xticks(range(columns), [_name(names, i) for i in range(columns)], rotation=_tilt(names))
    axes.set_yticks(range(rows), names)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(title, fontsize=11)
    figure.colorbar(image, ax=axes, shrink=0.8, label="% of the true class")
    if columns <= 20:
        _annotate(axes, share)
    return render(figure)


def _tilt(names: tuple[str, ...]) -> int:
    return 90 if max(map(len, names)) > 3 else 0


def _annotate(axes: object, share: Tensor) -> None:
    for i, row in enumerate(share.tolist()):
        for j, value in enumerate(row):
            if value > 0:
                text = f"{value:.0f}" if value >= 9.95 or value == 0 else f"{value:.1f}"
                colour = "white" if value > 55 else "#303030"
                axes.text(j, i, text, ha="center", va="center", fontsize=8, color=colour)  # type: ignore[attr-defined]
