"""A data set of drawn shapes and a classifier. Neither knows of the other."""

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from pluglab import (
    Batch,
    Component,
    Images,
    ImageSpec,
    Options,
    Progress,
    Reference,
    Role,
    TrainerBase,
    derived_seed,
    named,
)
from pluglab.protocols import DataContext


class Shapes:
    """White shapes on black: a square, a disc or a cross, each of random size at a random place."""

    class Config(Options):
        size: int = Field(16, ge=8)
        """Height and width of the images, in pixels."""
        count: int = Field(1000, ge=3)
        """Images a split."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def prepare(self, context: DataContext) -> None:
        """Nothing to fetch."""

    def split(self, name: str) -> Images:
        random = torch.Generator().manual_seed(derived_seed("shapes", name))
        x, y, radius = torch.rand(3, self.config.count, 1, 1, generator=random) * 0.4
        axis = torch.linspace(-0.8, 1.2, self.config.size)
        dx, dy, radius = (axis - x).abs(), (axis[:, None] - y).abs(), radius + 0.4
        square, disc = torch.maximum(dx, dy) < radius, dx**2 + dy**2 < radius**2
        shapes = torch.stack([square, disc, square & (torch.minimum(dx, dy) < 0.2)])
        labels = torch.arange(self.config.count) % 3
        pixels = shapes[labels, torch.arange(len(labels))].to(torch.uint8) * 255
        return Images(pixels[:, None], labels, classes=("square", "disc", "cross"))


class Perceptron(TrainerBase):
    """A classifier with one hidden layer, trained by cross-entropy."""

    class Config(Options):
        hidden: int = Field(64, ge=1)
        """Hidden units."""
        optimizer: Annotated[Component, Reference("optimizer")] = named("adam")
        """Any registered optimizer."""

    roles = (Role("train", labels="required"),)

    def __init__(self, config: Config, data: Mapping[str, ImageSpec]) -> None:
        spec = data["train"]
        pixels = spec.channels * spec.height * spec.width
        layers = nn.Linear(pixels, config.hidden), nn.ReLU(), nn.Linear(config.hidden, spec.num_classes)
        self.network = nn.Sequential(nn.Flatten(), *layers)
        self.optimizer = config.optimizer.build(self.network.parameters())

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        train = batch["train"]
        assert train.labels is not None  # the role requires them
        loss = nn.functional.cross_entropy(self.network(train.images), train.labels)
        self.update(self.optimizer, loss)
        return {"loss": loss.detach()}

    def predict(self, images: Tensor, role: str) -> Tensor:
        """Class logits N x K. Having this method is all that `accuracy` asks of a trainer."""
        logits: Tensor = self.network(images)
        return logits
