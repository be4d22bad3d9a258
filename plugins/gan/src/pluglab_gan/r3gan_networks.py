"""The networks of R3GAN: residual blocks without normalization (Huang et al. 2024, arXiv:2501.05441).

A block is a bottleneck turned inside out, with grouped 3 x 3 convolutions (section 3.2 and appendix). Stages
double or halve the size between 4 x 4 and the image. Convolutions have a bias where an activation follows,
and nowhere else. Resampling is bilinear: halving takes the mean of 2 x 2 pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pluglab.protocols import ImageSpec

SIZES = 16, 32, 64, 128, 256
SLOPE = 0.2
GAIN = math.sqrt(2 / (1 + SLOPE**2))  # keeps the mean square through a leaky ReLU (He et al. 2015)

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


class Shape(NamedTuple):
    """How large both networks are."""

    widths: Sequence[int]
    """Channels of the feature maps from 4 x 4 to the image's size."""
    blocks: int = 2
    """Residual blocks at each size."""
    expansion: int = 2
    """Within a block there are so many times the channels."""
    group: int = 16
    """Channels of a group of its 3 x 3 convolution."""

    @property
    def depth(self) -> int:
        """Residual blocks of a network."""
        return self.blocks * len(self.widths)


def widths(spec: ImageSpec, smallest: int, largest: int) -> list[int]:
    """Channels from 4 x 4 to the image's size: `smallest` at the latter, doubled with each halving of the
    size up to `largest`. Raises `UserError` for images that stages of doubling do not make."""
    square = spec.height == spec.width and spec.height in SIZES
    spec.require(square, "trainer 'r3gan'", f"squares of {', '.join(map(str, SIZES))} pixels")
    stages = SIZES.index(spec.height) + 3
    return [min(smallest * 2**stage, largest) for stage in reversed(range(stages))]


def scaled(layer: Layer, gain: float = 1.0) -> Layer:
    """Weights from N(0, gain^2 / fan-in), bias 0."""
    fan_in = layer.weight[0].numel()
    nn.init.normal_(layer.weight, std=gain / math.sqrt(fan_in)) if gain else nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def pointwise(inputs: int, outputs: int, gain: float = 1.0, bias: bool = False) -> nn.Conv2d:
    """A scaled 1 x 1 convolution."""
    return scaled(nn.Conv2d(inputs, outputs, 1, bias=bias), gain)


class ResidualBlock(nn.Module):
    """x + f(x), f being 1 x 1, grouped 3 x 3 and 1 x 1 convolutions with leaky ReLU between them.

    f starts as 0, and its first two layers so small that L blocks change no more than one would (Fixup,
    Zhang et al. 2019, arXiv:1901.09321: L^(-1 / (2m - 2)) for m layers).
    """

    def __init__(self, channels: int, shape: Shape) -> None:
        super().__init__()
        inner, gain = channels * shape.expansion, GAIN * shape.depth ** (-1 / 4)
        self.first = pointwise(channels, inner, gain, bias=True)
        self.second = scaled(nn.Conv2d(inner, inner, 3, padding=1, groups=inner // shape.group), gain)
        self.last = pointwise(inner, channels, gain=0)

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu_(self.first(x), SLOPE)
        return x + self.last(F.leaky_relu_(self.second(y), SLOPE))


class Enlarge(nn.Module):
    """N x C x H x W to N x C' x 2H x 2W; a 1 x 1 convolution changes the number of channels first."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.mix = pointwise(inputs, outputs) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self.mix(x), scale_factor=2, mode="bilinear")


class Shrink(nn.Module):
    """N x C x H x W to N x C' x H/2 x W/2; a 1 x 1 convolution changes the number of channels last."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.mix = pointwise(inputs, outputs) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.mix(F.avg_pool2d(x, 2)))


class GenerativeBasis(nn.Module):
    """Latents N x Z to N x C x 4 x 4: each channel a learned map times a linear function of the latent."""

    def __init__(self, latent_size: int, channels: int) -> None:
        super().__init__()
        self.basis = nn.Parameter(torch.randn(channels, 4, 4))
        self.modulate = scaled(nn.Linear(latent_size, channels, bias=False))

    def forward(self, z: Tensor) -> Tensor:
        return self.basis * self.modulate(z)[:, :, None, None]


class DiscriminativeBasis(nn.Module):
    """N x C x 4 x 4 to N x outputs: each channel is weighted by a learned map and summed, then all mixed."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.basis = scaled(nn.Conv2d(channels, channels, 4, groups=channels, bias=False))
        self.mix = scaled(nn.Linear(channels, outputs, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.mix(self.basis(x).flatten(1)))


def generator(spec: ImageSpec, latent_size: int, shape: Shape) -> nn.Sequential:
    """Latents N x Z to images, of no fixed range."""
    layers: list[nn.Module] = [GenerativeBasis(latent_size, shape.widths[0]), *_blocks(0, shape)]
    for stage, (before, after) in enumerate(pairwise(shape.widths), start=1):
        layers += [Enlarge(before, after), *_blocks(stage, shape)]
    return nn.Sequential(*layers, pointwise(shape.widths[-1], spec.channels))


def discriminator(spec: ImageSpec, shape: Shape) -> nn.Sequential:
    """Images to scores N: G's layers in reverse."""
    return nn.Sequential(*trunk(spec, shape), DiscriminativeBasis(shape.widths[0], 1), nn.Flatten(0))


def trunk(spec: ImageSpec, shape: Shape) -> list[nn.Module]:
    """The discriminator's layers before its last: features of 4 x 4 places."""
    last = len(shape.widths) - 1
    layers: list[nn.Module] = [pointwise(spec.channels, shape.widths[-1]), *_blocks(last, shape)]
    for stage in reversed(range(last)):
        layers += [Shrink(shape.widths[stage + 1], shape.widths[stage]), *_blocks(stage, shape)]
    return layers


def _blocks(stage: int, shape: Shape) -> list[nn.Module]:
    return [ResidualBlock(shape.widths[stage], shape) for _ in range(shape.blocks)]
