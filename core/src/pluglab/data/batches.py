"""The data path: one uint8 array a split, and batches that are a pure function of (seed, role, step)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from pluglab.images import Images as Images
from pluglab.protocols import Batch, Transform


def derived_seed(*parts: Any) -> int:
    """A 63-bit seed that is a fixed function of the parts, the same on every machine."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


@lru_cache(maxsize=8)
def _permutation(seed: int, role: str, epoch: int, count: int) -> Tensor:
    generator = torch.Generator().manual_seed(derived_seed("order", seed, role, epoch))
    return torch.randperm(count, generator=generator)


def batch_indices(seed: int, role: str, step: int, count: int, size: int) -> Tensor:
    """The images of batch `step`: a window on the endless row of one fresh permutation an epoch."""
    parts, position, end = [], step * size, (step + 1) * size
    while position < end:
        epoch, offset = divmod(position, count)
        part = _permutation(seed, role, epoch, count)[offset : offset + end - position]
        parts.append(part)
        position += len(part)
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def to_float(pixels: Tensor) -> Tensor:
    """uint8 in 0..255 to float in [-1, 1], keeping the memory layout."""
    return pixels.to(torch.float32).mul_(2 / 255).sub_(1)


def to_uint8(images: Tensor) -> Tensor:
    """Float in [-1, 1] to uint8, rounded to the nearest level and clamped."""
    return images.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


class ImageArray:
    """A split on the device, stored N x H x W x C so that a gather comes out channels_last for free."""

    def __init__(self, images: Images, device: torch.device, *, channels_last: bool) -> None:
        pixels = images.pixels
        self.channels_last = channels_last
        self.pixels = (pixels.permute(0, 2, 3, 1) if channels_last else pixels).contiguous().to(device)
        self.labels = None if images.labels is None else images.labels.to(device)

    def take(self, index: Tensor | slice) -> Tensor:
        """Float images in [-1, 1] of these rows."""
        pixels = self.pixels[index]
        return to_float(pixels.permute(0, 3, 1, 2) if self.channels_last else pixels)


class Stream:
    """The training batches of one role. `batch(step)` depends on nothing but (seed, role, step)."""

    def __init__(
        self,
        images: Images,
        role: str,
        *,
        seed: int,
        batch_size: int,
        device: torch.device,
        transforms: Sequence[Transform] = (),
        channels_last: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.array = ImageArray(images, device, channels_last=channels_last)
        self.role, self.seed, self.batch_size = role, seed, batch_size
        self.count, self.device, self.transforms = len(images), device, tuple(transforms)
        self.rank, self.world_size = rank, world_size

    def batch(self, step: int) -> Batch:
        index = batch_indices(self.seed, self.role, step, self.count, self.batch_size)
        index = index[self.rank :: self.world_size].to(self.device, non_blocking=True)
        images = self._transform(self.array.take(index), step)
        return Batch(images, None if self.array.labels is None else self.array.labels[index])

    def _transform(self, images: Tensor, step: int) -> Tensor:
        if not self.transforms:
            return images
        seed = derived_seed("transform", self.seed, self.role, step, self.rank)
        generator = torch.Generator(self.device).manual_seed(seed)
        for transform in self.transforms:
            images = transform(images, generator)
        return images


def in_batches(array: ImageArray, size: int, limit: int) -> Iterator[Tensor]:
    """The first `limit` images in order, `size` at a time."""
    for start in range(0, limit, size):
        yield array.take(slice(start, min(start + size, limit)))
