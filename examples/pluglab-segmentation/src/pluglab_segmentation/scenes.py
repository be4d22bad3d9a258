"""Scenes of drawn shapes. Their labels are masks: a class for each pixel."""

from __future__ import annotations

import torch
from pluglab import Images, Options, UserError, derived_seed
from pluglab.protocols import DataContext
from pydantic import Field
from torch import Tensor

CLASSES = "ground", "square", "disc", "cross"


class Scenes:
    """Squares, discs and crosses of random colors over one another, on a ground that grows darker to one side.

    Labels are int64 N x H x W. `extra["weight"]`, N x H x W, says how much the loss of a pixel counts: more
    at edges, as in the weight map of U-Net (Ronneberger et al. 2015, eq. 2).
    """

    class Config(Options):
        size: int = Field(32, ge=16)
        """Height and width of the images, in pixels."""
        count: int = Field(1000, ge=1)
        """Images a split."""
        shapes: int = Field(4, ge=1)
        """Shapes in an image, the last on top."""
        noise: float = Field(0.15, ge=0)
        """Deviation of the noise on each value, colors being in [0, 1]."""
        edge_weight: float = Field(3.0, ge=0)
        """By how much more a pixel at the edge of a shape counts."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def prepare(self, context: DataContext) -> None:
        """Nothing to fetch."""

    def split(self, name: str) -> Images:
        if name not in ("train", "test"):
            raise UserError(f"data set 'scenes' has no split '{name}'", help=["splits: train, test"])
        c, random = self.config, torch.Generator().manual_seed(derived_seed("scenes", name))
        pixels = self._ground(random)
        masks = torch.zeros(c.count, c.size, c.size, dtype=torch.int64)
        for _ in range(c.shapes):
            area, classes = self._shape(random)
            color = torch.rand(c.count, 3, 1, 1, generator=random)
            pixels = torch.where(area[:, None], color, pixels)
            masks = torch.where(area, classes, masks)
        pixels = pixels + c.noise * torch.randn(pixels.shape, generator=random)
        weight = 1 + c.edge_weight * edges(masks).float()
        stored = (pixels * 255).round().clamp(0, 255).to(torch.uint8)
        provenance = {"drawn": c.model_dump()}
        return Images(stored, masks, CLASSES, provenance, extra={"weight": weight})

    def _ground(self, random: torch.Generator) -> Tensor:
        """One color an image, N x 3 x H x W, half as bright at one side."""
        c = self.config
        color = torch.rand(c.count, 3, 1, 1, generator=random)
        return color * torch.linspace(0.5, 1, c.size) * torch.ones(c.size, 1)

    def _shape(self, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """One shape an image: the pixels that it covers, N x H x W, and its class, N x 1 x 1."""
        count, axis = self.config.count, torch.linspace(0, 1, self.config.size)
        x, y, radius = torch.rand(3, count, 1, 1, generator=random)
        radius = 0.1 + 0.15 * radius
        dx, dy = (axis - x).abs(), (axis[:, None] - y).abs()
        square, disc = torch.maximum(dx, dy) < radius, dx**2 + dy**2 < radius**2
        cross = square & (torch.minimum(dx, dy) < radius / 3)
        number = torch.randint(3, (count,), generator=random)
        area = torch.stack([square, disc, cross])[number, torch.arange(count)]
        return area, number.view(-1, 1, 1) + 1


def edges(masks: Tensor) -> Tensor:
    """Pixels beside one of another class, below or to the right or the other way round: bool N x H x W."""
    found = torch.zeros(masks.shape, dtype=torch.bool)
    down, right = masks[:, 1:] != masks[:, :-1], masks[:, :, 1:] != masks[:, :, :-1]
    found[:, 1:] |= down
    found[:, :-1] |= down
    found[:, :, 1:] |= right
    found[:, :, :-1] |= right
    return found
