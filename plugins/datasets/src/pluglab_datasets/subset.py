"""A part of any data set: some classes of it, or its training images without those that are held out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from pluglab.components import Component, Options, Reference
from pluglab.data import Images
from pluglab.errors import UserError, did_you_mean
from pluglab.protocols import DataContext, Dataset

HELD_OUT = "held_out"


class Subset:
    """Some classes of a data set, and a share of its training images as a split of its own, `held_out`.

    Nested in the training images, such a split may choose options and checkpoints, while the test split is
    read once, at the end. Images are drawn without a look at their labels, so it fits unlabeled data.
    """

    class Config(Options):
        of: Annotated[Component, Reference("dataset")]
        """The data set."""
        classes: tuple[str, ...] | None = None
        """Names of the classes that are kept, in every split; without, all."""
        held_out: float = Field(0.0, ge=0, lt=1)
        """Share of the training images that makes the split `held_out`; `train` has the others."""
        seed: int = 0
        """Chooses them."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.dataset: Dataset = config.of.build()

    def prepare(self, context: DataContext) -> None:
        self.dataset.prepare(context)

    def split(self, name: str) -> Images:
        """Raises `UserError` for a class or a split that there is not, or too small a share."""
        nested = self.config.held_out > 0 and name in ("train", HELD_OUT)
        images = self._of_classes(self.dataset.split("train" if nested else name))
        return self._nested(images, name) if nested else images

    def _of_classes(self, images: Images) -> Images:
        kept = self.config.classes
        if kept is None:
            return images
        known = images.classes or ()
        if images.labels is None or images.labels.ndim != 1:
            raise UserError("`classes` can be chosen only where every image has one, and these have none")
        for name in kept:
            if name not in known:
                help = [did_you_mean(name, known) or f"its classes: {', '.join(known)}"]
                raise UserError(f"data set '{self.config.of.name}' has no class '{name}'", help=help)
        numbers = torch.tensor([known.index(name) for name in kept])
        found = self._rows(images, torch.isin(images.labels, numbers).nonzero()[:, 0])
        new = torch.full((len(known),), -1).scatter_(0, numbers, torch.arange(len(kept)))
        assert found.labels is not None
        return replace(found, labels=new[found.labels], classes=kept)

    def _nested(self, images: Images, name: str) -> Images:
        count = round(self.config.held_out * len(images))
        if not 0 < count < len(images):
            raise UserError(f"`held_out = {self.config.held_out:g}` of {len(images)} images leaves no split")
        generator = torch.Generator().manual_seed(self.config.seed)
        order = torch.randperm(len(images), generator=generator)
        return self._rows(images, (order[:count] if name == HELD_OUT else order[count:]).sort().values)

    def _rows(self, images: Images, rows: Tensor) -> Images:
        taken = {"labels": images.labels, **images.extra}
        picked = {name: value[rows] for name, value in taken.items() if value is not None}
        labels = picked.pop("labels", None)
        provenance = {**images.provenance, **dict(self._origin(len(rows)))}
        return replace(images, pixels=images.pixels[rows], labels=labels, extra=picked, provenance=provenance)

    def _origin(self, count: int) -> Iterator[tuple[str, Any]]:
        yield "count", count
        yield "subset", self.config.model_dump(exclude={"of"}, exclude_defaults=True)
