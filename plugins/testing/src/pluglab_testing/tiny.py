"""Eight small images of three classes, as every role and split of what is checked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch

from pluglab import Images, ImageSpec
from pluglab.data import derived_seed, to_float

CLASSES = "disc", "square", "cross"
COUNT = 8
SHAPES = (3, 32, 32), (1, 28, 28), (1, 32, 32), (3, 64, 64)
"""What is tried, until one is what the component takes: channels, height, width."""


@cache
def images(
    shape: tuple[int, int, int], split: str = "train", count: int = COUNT, masks: bool = False
) -> Images:
    """Soft noise with a bright square whose place is the class; of `masks`, labels are classes of pixels."""
    channels, height, width = shape
    generator = torch.Generator().manual_seed(derived_seed("tiny", split, *shape))
    pixels = torch.randint(0, 128, (count, channels, height, width), dtype=torch.uint8, generator=generator)
    labels = torch.arange(count) % len(CLASSES)
    edge = max(1, height // 4)
    areas = torch.zeros(count, height, width, dtype=torch.int64)
    for row, label in enumerate(labels.tolist()):
        pixels[row, :, label * edge : (label + 1) * edge, :edge] = 255
        areas[row, label * edge : (label + 1) * edge, :edge] = label
    return Images(pixels, areas if masks else labels, CLASSES)


def spec(shape: tuple[int, int, int]) -> ImageSpec:
    return images(shape).spec


@dataclass(frozen=True)
class Rows:
    """Float images in [-1, 1] and labels of some of the eight."""

    images: torch.Tensor
    labels: torch.Tensor


def rows(shape: tuple[int, int, int], start: int, count: int, masks: bool = False) -> Rows:
    """`count` of them from `start` on, round and round, laid out as the engine does."""
    whole = images(shape, masks=masks)
    assert whole.labels is not None
    index = torch.arange(start, start + count) % len(whole)
    pixels = to_float(whole.pixels[index]).contiguous(memory_format=torch.channels_last)
    return Rows(pixels, whole.labels[index].clone())
