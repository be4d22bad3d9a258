"""Batched preprocessing and augmentation (kind `transform`), on the device of the images.

Each takes float images N x C x H x W and a generator, from which all its randomness comes, and returns
images of the same shape and memory layout. Those with `random = True` are left out of evaluation.
The defaults were chosen by how well one plain adaptation loop did on the target, between the four digit data
sets: labels of targets have a part in them.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pluglab.components import Options
from pluglab.errors import UserError


def _uniform(
    images: Tensor, low: float, high: float, generator: torch.Generator, channels: int = 1
) -> Tensor:
    """One draw an image (or a channel), shaped N x channels x 1 x 1."""
    draws = torch.rand(
        len(images), channels, 1, 1, generator=generator, device=images.device, dtype=images.dtype
    )
    return draws.mul_(high - low).add_(low)


def _laid_out_as(result: Tensor, images: Tensor) -> Tensor:
    """`result`, in channels_last where `images` are."""
    if images.is_contiguous(memory_format=torch.channels_last):
        return result.contiguous(memory_format=torch.channels_last)
    return result.contiguous()


def _resampled(images: Tensor, theta: Tensor, padding: str) -> Tensor:
    """Images at the places that N x 2 x 3 maps from output to input coordinates name, bilinearly."""
    grid = _places(theta, *images.shape[2:])
    return _laid_out_as(F.grid_sample(images, grid, padding_mode=padding, align_corners=False), images)


def _places(theta: Tensor, height: int, width: int) -> Tensor:
    """N x H x W x 2, as `affine_grid` makes it of N x 2 x 3, of rows and columns: in a fifth of its time."""
    columns = theta[:, :, :1] * _centers(width, theta)
    rows = torch.addcmul(theta[:, :, 2:], theta[:, :, 1:2], _centers(height, theta))
    return (rows[..., None] + columns[:, :, None]).permute(0, 2, 3, 1)


def _centers(count: int, like: Tensor) -> Tensor:
    """The centers of so many pixels in a row, across [-1, 1]."""
    return (2 * torch.arange(count, dtype=like.dtype, device=like.device) + 1) / count - 1


class Standardize:
    """(x - mean) / sqrt(variance + floor^2), with the mean and variance of each single image, so that
    contrast and brightness say nothing about the domain. The result is not confined to [-1, 1]."""

    random = False

    class Config(Options):
        per_channel: bool = False
        """Use each channel's own mean and variance, which also removes a color cast."""
        floor: float = Field(1e-2, gt=0)
        """Deviation below which an image counts as blank, in units of [-1, 1]: noise is not blown up."""

    def __init__(self, config: Config) -> None:
        self.per_channel, self.epsilon = config.per_channel, config.floor**2

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        if self.per_channel:
            return F.group_norm(images, images.shape[1], eps=self.epsilon)
        # Layer normalization over whole images is exactly this, in one pass over contiguous memory.
        rows = images if images.is_contiguous() else images.permute(0, 2, 3, 1)
        normal = F.layer_norm(rows, rows.shape[1:], eps=self.epsilon)
        return normal if rows is images else normal.permute(0, 3, 1, 2)


class Zoom:
    """The middle of each image enlarged, or the image shrunk into the middle with its border continued;
    bilinear sampling. It gives digits of one data set the share of the frame that those of another have."""

    random = False

    class Config(Options):
        factor: float = Field(1.0, gt=0)
        """Size of the result's content over its size before: 1.4 shows the middle 1 / 1.4 of the image."""

    def __init__(self, config: Config) -> None:
        self.factor = config.factor

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        if self.factor == 1:
            return images
        theta = images.new_tensor([[1 / self.factor, 0, 0], [0, 1 / self.factor, 0]])
        return _resampled(images, theta.expand(len(images), 2, 3), "border")


class RandomAffine:
    """Rotation about the center, scale and shift, drawn uniformly for each image; bilinear sampling."""

    random = True

    class Config(Options):
        rotation: float = Field(14.0, ge=0, le=180)
        """Largest rotation either way, in degrees."""
        scale: float = Field(0.2, ge=0, lt=1)
        """Largest relative change of size either way: 0.2 draws from 0.8 to 1.2."""
        shift: float = Field(0.12, ge=0, le=1)
        """Largest shift either way along each axis, as a share of the image's width or height."""
        padding: Literal["border", "reflection", "zeros"] = "border"
        """What lies outside the image: its border continued, its mirror image, or mid-gray."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return _resampled(images, self._matrices(images, generator), self.config.padding)

    def _matrices(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """N x 2 x 3, from output to input coordinates, both in [-1, 1] across the image."""
        c = self.config
        draws = torch.rand(4 * len(images), generator=generator, device=images.device)  # an axis of images
        draw = draws.view(4, -1).mul_(2).sub_(1)
        angle = draw[0] * (c.rotation * torch.pi / 180)
        size = 1 / (1 + c.scale * draw[1])
        cos, sin = angle.cos() * size, angle.sin() * size
        x, y = draw[2:] * (2 * c.shift)
        aspect = images.shape[3] / images.shape[2]
        rows = [cos, -sin / aspect, x, sin * aspect, cos, y]
        return torch.stack(rows, dim=1).view(-1, 2, 3).to(images.dtype)


class _OfSome:
    """A change of a random part of the images."""

    random = True

    class Config(Options):
        probability: float = Field(0.5, ge=0, le=1)
        """Share of the images that are changed."""

    def __init__(self, config: Config) -> None:
        self.probability = config.probability

    def _chosen(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Boolean N x 1 x 1 x 1."""
        return _uniform(images, 0, 1, generator) < self.probability


class RandomInvert(_OfSome):
    """x -> -x for a random part of the images: light on dark becomes dark on light."""

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        inverted = self._chosen(images, generator)
        return images * torch.where(inverted, -1.0, 1.0).to(images.dtype)


class RandomGain:
    """x -> gain * x + brightness. Place it after `standardize`, which would undo it: there the gain is the
    contrast, and the brightness is in units of the image's deviation."""

    random = True

    class Config(Options):
        gain: float = Field(0.3, ge=0, lt=1)
        """Largest relative change of the gain either way: 0.3 draws from 0.7 to 1.3."""
        brightness: float = Field(0.0, ge=0)
        """Largest amount added or taken away."""
        per_channel: bool = False
        """Draw for each channel by itself, which changes the colors."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        c = self.config
        channels = images.shape[1] if c.per_channel else 1
        gain = _uniform(images, 1 - c.gain, 1 + c.gain, generator, channels)
        brightness = _uniform(images, -c.brightness, c.brightness, generator, channels)
        return torch.addcmul(brightness, images, gain)


class RandomFlip(_OfSome):
    """A random part of the images mirrored left to right. Not for digits, whose meaning it changes."""

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        mirrored = self._chosen(images, generator)
        return torch.where(mirrored, images.flip(3), images)


class ToGray:
    """Every channel replaced by the luma 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601). The number of channels
    stays, and so do images of one channel. Raises `UserError` for other channels than red, green and blue."""

    random = False

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        if images.shape[1] == 1:
            return images
        if images.shape[1] != 3:
            raise UserError(f"'to_gray' takes images of one channel or three, not {images.shape[1]}")
        weights = images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
        return _laid_out_as((images * weights).sum(1, keepdim=True).expand_as(images), images)
