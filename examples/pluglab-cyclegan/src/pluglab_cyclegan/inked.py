"""Gray images in ink on paper: the other kind of images, whose true translation is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch
from pluglab import Component, Images, Options, Reference, UserError, named
from pluglab.protocols import DataContext, Dataset
from pydantic import Field

Level = Annotated[int, Field(ge=0, le=255)]


class Inked:
    """Any gray data set in color: black becomes paper, white becomes ink, and gray lies between them."""

    class Config(Options):
        of: Annotated[Component, Reference("dataset")] = named("digits")
        """The data set."""
        ink: tuple[Level, Level, Level] = (30, 45, 130)
        """Red, green and blue of what was white."""
        paper: tuple[Level, Level, Level] = (250, 240, 215)
        """Red, green and blue of what was black."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.dataset: Dataset = config.of.build()

    def prepare(self, context: DataContext) -> None:
        self.dataset.prepare(context)

    def split(self, name: str) -> Images:
        """paper + (ink - paper) v for gray values v in [0, 1]."""
        images = self.dataset.split(name)
        if images.pixels.shape[1] != 1:
            raise UserError(f"'inked' wants gray images, and those of '{self.config.of.name}' are in color")
        ink, paper = (torch.tensor(c).view(1, 3, 1, 1) for c in (self.config.ink, self.config.paper))
        colored = paper + (ink - paper) * images.pixels / 255
        return replace(images, pixels=colored.round().to(torch.uint8))
