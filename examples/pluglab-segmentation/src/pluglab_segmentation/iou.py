"""How well predicted masks cover the true ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from pluglab import Evaluation, Figure, Options, Table, UserError
from pluglab.evaluating import batches_at, images_at, sample_rows, select_splits
from pluglab.figures import image_rows
from pluglab.protocols import Better, EvaluationContext, EvaluationData, RoleData
from pluglab.style import colors_of
from pydantic import Field
from torch import Tensor

from pluglab_segmentation.segmenter import Segments


class IoU:
    """Intersection over union of predicted and true pixels of each class, over all images; in percent.

    |P and T| / |P or T| = n_kk / (sum_j n_kj + sum_j n_jk - n_kk), with n_kj pixels of class k taken for j
    (Everingham et al. 2015, section 4.2). Classes that no pixel has, nor is taken for, are left out.
    """

    class Config(Options):
        roles: tuple[str, ...] | None = None
        """Roles to look at; all by default."""
        split: str = "test"
        """Split to look at."""
        shown: int = Field(8, ge=1, le=40)
        """Images in the picture."""

    needs = (Segments,)

    def __init__(self, config: Config) -> None:
        self.config = config

    def check(self, trainer: Any, data: RoleData) -> Mapping[str, Collection[str]]:
        """The mean of each role, computed from its labels. Raises `UserError` for data without labels."""
        found = {}
        for part in select_splits(data, self.config.roles, self.config.split):
            if not part.labeled or not part.spec.classes:
                raise UserError(f"'iou' needs a class for each pixel, and '{part.role}' has none")
            found[f"iou/{part.role}"] = (part.role,)
        return found

    def evaluate(self, trainer: Segments, data: RoleData, context: EvaluationContext) -> Evaluation:
        """Scalars `iou/<role>`, the mean over classes; a table of each class; images and masks."""
        scalars, tables, figures = {}, {}, {}
        for part in select_splits(data, self.config.roles, self.config.split):
            values = 100 * iou_of(self._confusion(trainer, part))
            scalars[f"iou/{part.role}"] = values.nanmean().item()
            rows = [(part.spec.class_name(k), value) for k, value in enumerate(values.tolist())]
            tables[part.role] = Table(("class", "IoU, %"), [row for row in rows if row[1] == row[1]])
            figures[part.role] = self._picture(trainer, part, context.seed)
        protocol = {"evaluator": "iou", "split": self.config.split}
        better: dict[str, Better] = dict.fromkeys(scalars, "max")
        return Evaluation(scalars, figures, tables, headline=tuple(scalars), protocol=protocol, better=better)

    def _confusion(self, trainer: Segments, part: EvaluationData) -> Tensor:
        """Pixels of each true class (row) by the predicted one, K x K."""
        count, total = part.spec.num_classes, torch.zeros(part.spec.num_classes**2, dtype=torch.int64)
        rows = torch.arange(part.spec.count)
        for images, masks in zip(batches_at(part, rows, 200), part.labels.split(200), strict=True):
            guess = trainer.segment(images, part.role).argmax(1).cpu()
            total += (masks * count + guess).flatten().bincount(minlength=count**2)
        return total.view(count, count)

    def _picture(self, trainer: Segments, part: EvaluationData, seed: int) -> Figure:
        rows = sample_rows(part, self.config.shown, seed)
        images, classes = images_at(part, rows), part.spec.classes or ()
        guess, true = trainer.segment(images, part.role).argmax(1).cpu(), part.labels[rows]
        right = [f"{100 * one:.0f} %" for one in (guess == true).float().mean((1, 2)).tolist()]
        drawn = [("image", images, ()), ("mask", in_colors(true, classes), ())]
        page = image_rows([*drawn, ("predicted", in_colors(guess, classes), right)])
        words = (
            f"{part.split.capitalize()} images of {part.dataset}, their masks, and what the model takes for"
        )
        return Figure(page, f"{words} them; the share of pixels that are right below", {"row": rows})


def iou_of(confusion: Tensor) -> Tensor:
    """IoU of each class in [0, 1], K; NaN where a class is neither there nor predicted."""
    both = confusion.diagonal().double()
    return both / (confusion.sum(0) + confusion.sum(1) - both)


def in_colors(masks: Tensor, classes: tuple[str, ...]) -> Tensor:
    """Masks N x H x W as images, uint8 N x 3 x H x W: a color for each class."""
    colors = colors_of(classes)
    return torch.tensor([rgb(colors[name]) for name in classes], dtype=torch.uint8)[masks].movedim(-1, 1)


def rgb(color: str) -> list[int]:
    """'#1b9e77' as three numbers."""
    return list(bytes.fromhex(color.removeprefix("#")))
