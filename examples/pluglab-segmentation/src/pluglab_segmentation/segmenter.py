"""A U-Net that gives each pixel a class (Ronneberger et al. 2015, arXiv:1505.04597), small."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Protocol

import torch
import torch.nn.functional as F
from pluglab import (
    Batch,
    Component,
    ImageSpec,
    Options,
    Progress,
    Reference,
    Role,
    TrainerBase,
    UserError,
    capability,
    named,
    scale_lr,
)
from pydantic import Field
from torch import Tensor, nn


@capability("segment images")
class Segments(Protocol):
    def segment(self, images: Tensor, role: str) -> Tensor:
        """Class logits of each pixel, N x K x H x W."""
        ...


def block(before: int, after: int) -> nn.Sequential:
    """Two convolutions, each normalized over the batch."""
    layers: list[nn.Module] = []
    for start in (before, after):
        layers += [nn.Conv2d(start, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Three sizes down and up again; each size on the way up sees what it was on the way down (figure 1)."""

    def __init__(self, channels: int, classes: int, width: int) -> None:
        super().__init__()
        widths = width, 2 * width, 4 * width
        self.down = nn.ModuleList(map(block, (channels, *widths[:2]), widths))
        self.up = nn.ModuleList([block(6 * width, 2 * width), block(3 * width, width)])
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        large = self.down[0](images)
        middle = self.down[1](F.max_pool2d(large, 2))
        small = self.down[2](F.max_pool2d(middle, 2))
        middle = self.up[0](torch.cat([F.interpolate(small, scale_factor=2), middle], dim=1))
        large = self.up[1](torch.cat([F.interpolate(middle, scale_factor=2), large], dim=1))
        logits: Tensor = self.head(large)
        return logits


class Segmenter(TrainerBase):
    """Cross-entropy of each pixel's class, weighted by the data set's `extra["weight"]` where it has one."""

    class Config(Options):
        width: int = Field(16, ge=1)
        """Channels at full size; twice and four times as many at half and a quarter."""
        optimizer: Annotated[Component, Reference("optimizer")] = named("adam", lr=3e-3)
        """Any registered optimizer."""
        schedule: Annotated[Component, Reference("schedule")] = named("one_cycle")
        """Any registered schedule of the rate."""

    roles = (Role("train", labels="required"),)

    def __init__(self, config: Config, data: Mapping[str, ImageSpec]) -> None:
        spec = data["train"]
        spec.require(spec.height % 4 == spec.width % 4 == 0, "'segmenter'", "multiples of 4 pixels")
        self.network = UNet(spec.channels, spec.num_classes, config.width)
        self.optimizer = config.optimizer.build(self.network.parameters())
        self.schedule = config.schedule.build()

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        scale_lr(self.optimizer, progress.at(self.schedule))
        train = batch["train"]
        if train.labels is None or train.labels.ndim != 3:
            raise UserError("'segmenter' wants labels N x H x W, a class for each pixel")
        logits = self.network(train.images).float()
        errors = F.cross_entropy(logits, train.labels, reduction="none")
        weight = train.extra.get("weight", torch.ones_like(errors))
        loss = (weight * errors).sum() / weight.sum()
        self.update(self.optimizer, loss)
        right = (logits.detach().argmax(1) == train.labels).float().mean()
        return {"loss": loss.detach(), "training/pixels_right": right}

    def segment(self, images: Tensor, role: str) -> Tensor:
        """Class logits N x K x H x W."""
        logits: Tensor = self.network(images)
        return logits
