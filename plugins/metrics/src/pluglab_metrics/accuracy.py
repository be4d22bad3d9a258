"""Accuracy: overall, by class, and the confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pluglab.capabilities import Classifies
from pluglab.components import Options
from pluglab.errors import UserError
from pluglab.evaluating import PASS, RoleData, predict, select_splits
from pluglab.protocols import Better, Evaluation, EvaluationContext, EvaluationData, Figure, Table
from pluglab_metrics.mistakes import most_confused
from pluglab_plots import picture


class Judged(Options):
    """Options of what compares predictions with labels."""

    roles: tuple[str, ...] | None = None
    """Roles to judge; all that have labels by default."""
    split: str = "test"
    """Split to judge."""
    batch_size: int = Field(PASS, ge=1)
    """Images a forward pass."""

    def parts(self, data: RoleData, evaluator: str) -> list[EvaluationData]:
        """The splits to judge. Raises `UserError` where labels are missing."""
        chosen = select_splits(data, self.roles, self.split)
        without = [part.role for part in chosen if not part.labeled]
        if self.roles and without:
            raise UserError(
                f"role '{without[0]}' has no labels in split '{self.split}', so nothing to judge it by",
                help=["take it out of the evaluator's `roles`, or give that role a data set with labels"],
            )
        if len(without) == len(chosen):
            raise UserError(
                f"no role has labels in split '{self.split}', so there is nothing to judge",
                help=[f"remove the evaluator '{evaluator}', or use a data set with labels"],
            )
        return [part for part in chosen if part.labeled]

    def logits(self, trainer: Classifies, part: EvaluationData) -> Tensor:
        """Class logits of the whole split, float32 N x K on the CPU."""
        return predict(trainer, part, torch.arange(part.spec.count), self.batch_size)

    def scalar(self, name: str, role: str) -> str:
        """'accuracy/target', and the split where it is not the test split."""
        return f"{name}/{role}" if self.split == "test" else f"{name}/{role}/{self.split}"


class Accuracy:
    """Share of right predictions in percent, for each role; per class in a table; a confusion matrix and the
    surest mistakes each.

    Without `roles`, every role that has labels in the split is judged, the target's too.
    """

    Config = Judged
    needs: ClassVar[tuple[type, ...]] = (Classifies,)

    def __init__(self, config: Judged) -> None:
        self.config = config

    def check(self, trainer: Any, data: RoleData) -> Mapping[str, tuple[str, ...]]:
        """Each role's accuracy is computed from its own labels."""
        roles = [part.role for part in self.config.parts(data, "accuracy")]
        return {self.config.scalar("accuracy", role): (role,) for role in roles}

    def evaluate(self, trainer: Classifies, data: RoleData, context: EvaluationContext) -> Evaluation:
        """Scalars `accuracy/<role>` (`accuracy/<role>/<split>` for another split than test), in percent."""
        scalars, figures, tables = dict[str, float](), dict[str, Figure](), dict[str, Table]()
        for part in self.config.parts(data, "accuracy"):
            logits, names = self.config.logits(trainer, part), class_names(part)
            matrix = confusion(part.labels, logits.argmax(1), len(names))
            scalars[self.config.scalar("accuracy", part.role)] = percent_right(matrix)
            figures[f"confusion_{part.role}"] = self._draw(part, matrix, names)
            tables[f"accuracy_{part.role}"] = by_class(matrix, names)
            if mistakes := most_confused(part, logits, names):
                figures[f"most_confused_{part.role}"] = mistakes
        protocol = {"evaluator": "accuracy", "split": self.config.split}
        better: dict[str, Better] = dict.fromkeys(scalars, "max")
        headline = tuple(scalars)
        return Evaluation(scalars, figures, tables, headline=headline, protocol=protocol, better=better)

    def _draw(self, part: EvaluationData, matrix: Tensor, names: tuple[str, ...]) -> Figure:
        count, right = int(matrix.sum()), percent_right(matrix)
        # 'train' is the role of data that stand alone, and no word for a picture of test images.
        name = part.dataset if part.role == "train" else f"{part.dataset} ({part.role})"
        title = f"{name}: {right:.2f} % of {count:,} {self.config.split} images right"
        caption = f"Confusion matrix of {name}, {self.config.split} images, in percent of each true class"
        return draw_confusion(matrix, names, title, caption)


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


def draw_confusion(matrix: Tensor, names: tuple[str, ...], title: str, caption: str = "") -> Figure:
    """The matrix in percent of each true class; its counts are the data."""
    data = {"plot": "matrix", "title": title, "classes": names, "counts": matrix}
    return picture(data, caption)
