"""Any evaluator of generated images, on images that a model has translated from one role to another."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pluglab import derived_seed
from pluglab.capabilities import Translates
from pluglab.components import Component, Options, Reference, named
from pluglab.errors import UserError
from pluglab.evaluating import RoleData, images_at, sample_rows, select_splits
from pluglab.figures import image_rows
from pluglab.protocols import DataContext, Evaluation, EvaluationContext, EvaluationData, Figure
from pluglab_metrics.titled import Titled


class Translated:
    """Runs an evaluator of generated images on translated ones: FID and the like compare them with real
    images of the role that they were translated to.

    What it reports carries the names of both roles. The picture `pairs` has images above their translations.
    """

    class Config(Options):
        role: str | None = None
        """Role whose images are translated; by default that of the trainer's first translation."""
        to: str | None = None
        """Role that they are translated to; by default the first that the trainer translates `role` to."""
        split: str = "test"
        """Split whose images are translated."""
        evaluator: Annotated[Component, Reference("evaluator")] = named("generation_quality")
        """What to evaluate. Of the data it sees the role `to` alone, and the translations as samples."""
        by_class: bool = False
        """Translate images of the classes that the evaluator asks for, which reads the labels of `role`; so
        `class_accuracy` says whether a translation is read as the class of its original."""
        shown: int = Field(10, ge=1, le=40)
        """Images in the picture."""

    needs: ClassVar[tuple[type, ...]] = (Translates,)

    def __init__(self, config: Config) -> None:
        self.config, self.inner = config, Titled(config.evaluator)

    def prepare(self, context: DataContext) -> None:
        """As the evaluator."""
        self.inner.prepare(context)

    def check(self, trainer: Translates, data: RoleData) -> Mapping[str, Collection[str]] | None:
        """What the evaluator reports, titled. Where images are chosen by class, all of it reads labels."""
        view = self._view(trainer, data, seed=0)
        if self.config.by_class and not view.num_classes:
            help = ["choose labeled data, or leave `by_class` out"]
            raise UserError(f"images of '{view.part.role}' have no classes to choose by", help=help)
        found = self.inner.check(view.title, view, view.beside(data), "what translates images")
        chosen = [view.part.role] if self.config.by_class else []
        return found and {name: sorted({*roles, *chosen}) for name, roles in found.items()}

    def evaluate(self, trainer: Translates, data: RoleData, context: EvaluationContext) -> Evaluation:
        """What the evaluator finds of the translations, and the figure `pairs`."""
        view = self._view(trainer, data, context.seed)
        part = view.part
        protocol = {
            "translated images": f"{part.spec.count:,}: {part.dataset}, {part.split}",
            "hash of the translated images": part.digest[:16],
            "chosen": "by class" if self.config.by_class else "each once, then each again",
        }
        found = self.inner.evaluate(view.title, view, view.beside(data), context, **protocol)
        pairs = {f"{view.title}_pairs": self._pairs(view, context.seed)}
        return replace(found, figures={**pairs, **found.figures})

    def _view(self, trainer: Translates, data: RoleData, seed: int) -> Translations:
        role, to = self._direction(trainer.translations)
        (part,) = select_splits(data, [role], self.config.split)
        return Translations(trainer, part, to, seed, by_class=self.config.by_class)

    def _direction(self, known: Collection[tuple[str, str]]) -> tuple[str, str]:
        """The first that the options allow. Raises `UserError`."""
        asked = self.config.role, self.config.to
        for pair in known:
            if all(wish in (None, name) for wish, name in zip(asked, pair, strict=True)):
                return pair
        wish = f"from {asked[0] or 'any role'} to {asked[1] or 'any role'}"
        ways = ", ".join(f"{role} to {to}" for role, to in known)
        raise UserError(f"the trainer does not translate {wish}", help=[f"it translates {ways}"])

    def _pairs(self, view: Translations, seed: int) -> Figure:
        part, rows = view.part, sample_rows(view.part, self.config.shown, seed)
        images = images_at(part, rows)
        page = image_rows([(part.role, images, ()), (f"to {view.to}", view.translate(images), ())])
        words = f"{part.split.capitalize()} images of {part.dataset} above their translations to {view.to}"
        return Figure(page, words, {"row": rows})


class Translations:
    """A trainer's translations as samples: what evaluators of generated images look at.

    Each image is translated once before any is a second time; of the classes asked for, where `by_class`.
    """

    def __init__(
        self, trainer: Translates, part: EvaluationData, to: str, seed: int, *, by_class: bool = False
    ) -> None:
        self.trainer, self.part, self.to = trainer, part, to
        self.seed = derived_seed("translated", seed, part.role, part.split)
        self.num_classes = part.spec.num_classes if by_class else 0
        self._turns: dict[int | None, _Turns] = {}

    @property
    def title(self) -> str:
        return f"{self.part.role}_to_{self.to}"

    def beside(self, data: RoleData) -> RoleData:
        """What translations are held against: the role that they were translated to."""
        return {self.to: data[self.to]}

    def sample(self, n: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
        """The next n translations; the order of the images is a function of the seed alone."""
        asked = [None] * n if labels is None or not self.num_classes else labels.tolist()
        rows, back = torch.tensor([self._next(label) for label in asked]).unique(return_inverse=True)
        return self.translate(images_at(self.part, rows))[back.to(generator.device)]

    def translate(self, images: Tensor) -> Tensor:
        return self.trainer.translate(images, self.part.role, self.to)

    def _next(self, label: int | None) -> int:
        if label not in self._turns:
            self._turns[label] = _Turns(self._rows(label), self.seed)
        return self._turns[label].next()

    def _rows(self, label: int | None) -> Tensor:
        if label is None:
            return torch.arange(self.part.spec.count)
        found = (self.part.labels == label).nonzero().flatten()
        if not len(found):
            name = self.part.spec.class_name(label)
            raise UserError(f"'{self.part.role}' has no image of class '{name}' to translate")
        return found


class _Turns:
    """Numbers of rows in a random order, over and over."""

    def __init__(self, rows: Tensor, seed: int) -> None:
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
        self.rows, self.at = rows[order].tolist(), 0

    def next(self) -> int:
        row: int = self.rows[self.at % len(self.rows)]
        self.at += 1
        return row
