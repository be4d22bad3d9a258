"""Feature extractors and generators whose answers are known."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.image.kid import KernelInceptionDistance

from pluglab.data import Images, to_float
from pluglab_metrics.extractors.base import Features

DIGITS = tuple("0123456789")


class Pool:
    """Features are pixels pooled to 4 x 4; counts the images that it has seen."""

    name, identity, classes, notes = "pool", "pool-1", None, {"resizing": "none"}
    seen = 0

    def prepare(self, context: Any) -> None:
        """Needs nothing."""

    def to(self, device: Any) -> None:
        """Has no weights."""

    def __call__(self, images: Tensor) -> Features:
        Pool.seen += len(images)
        return Features(torch.nn.functional.adaptive_avg_pool2d(images.float(), 4).flatten(1))


class Labeler(Pool):
    """Reads the class that `Painter` paints."""

    name, identity, classes = "labeler", "labeler-1", DIGITS

    def __call__(self, images: Tensor) -> Features:
        level = to_float(images)[:, :, 1:].mean((1, 2, 3)).add(1).mul(4.5).round().long().clamp(0, 9)
        return Features(super().__call__(images).features, torch.eye(10)[level])


class Resampler:
    """Draws digits from the data set itself, in another order and slightly dimmed."""

    def __init__(self, images: Images) -> None:
        self.images = images

    def sample(self, n: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
        assert labels is None
        index = torch.randint(len(self.images), (n,), generator=generator)
        return to_float(self.images.pixels[index]) * 0.9 - 0.1


class Painter:
    """Class k is a flat image of brightness k, with the noise in its first row."""

    num_classes = 10

    def sample(self, n: int, labels: Tensor, generator: torch.Generator) -> Tensor:
        return self.paint(torch.rand(n, 8, generator=generator), labels)

    def paint(self, rows: Tensor, labels: Tensor) -> Tensor:
        images = (labels.view(-1, 1, 1, 1) / 4.5 - 1).repeat(1, 1, 8, 8)
        images[:, 0, 0] = 2 * rows - 1
        return images


class LatentPainter(Painter):
    def latents(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.rand(n, 8, generator=generator)

    def generate(self, latents: Tensor, labels: Tensor) -> Tensor:
        return self.paint(latents, labels)


def per_class_accuracy(num_classes: int = 10) -> MulticlassAccuracy:
    """A score for each class."""
    return MulticlassAccuracy(num_classes, average=None)


class Flat(nn.Module):
    """Features of images: their pixels in [0, 1]."""

    def forward(self, images: Tensor) -> Tensor:
        assert images.dtype == torch.uint8
        return images.flatten(1).float() / 255


class TinyKID(KernelInceptionDistance):
    """torchmetrics' KID with a network of nothing."""

    def __init__(self, subsets: int = 2, subset_size: int = 20) -> None:
        super().__init__(feature=Flat(), subsets=subsets, subset_size=subset_size)


class Reader:
    """Classifies, embeds and redraws: logits are ten pixels, features all of them, reconstructions dimmed."""

    def predict(self, images: Tensor, role: str) -> Tensor:
        return images.flatten(1)[:, 20:30] * 3

    def embed(self, images: Tensor, role: str) -> Tensor:
        return images.flatten(1)

    def reconstruct(self, images: Tensor, role: str) -> Tensor:
        return images * 0.5


class Inverter:
    """Translates by inverting, both ways; counts the images that it is asked for."""

    translations = (("source", "target"), ("target", "source"))

    def __init__(self) -> None:
        self.asked: list[Tensor] = []

    def translate(self, images: Tensor, role: str, to: str) -> Tensor:
        assert {role, to} == {"source", "target"}
        self.asked.append(images)
        return -images
