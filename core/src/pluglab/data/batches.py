"""The training data of a role: one uint8 array, and batches that are a function of (seed, role, step)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from pluglab.images import Images, to_float
from pluglab.plugins.returned import check_transformed
from pluglab.protocols import Batch, Transform
from pluglab.seeds import derived_seed


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


def transformed(images: Tensor, transforms: Iterable[Transform], seed: int) -> Tensor:
    """The images after each transform in turn, whose randomness comes from the seed."""
    generator = None
    for transform in transforms:
        generator = generator or torch.Generator(images.device).manual_seed(seed)
        images = check_transformed(transform, images, transform(images, generator))
    return images


class ImageArray:
    """A split on the device, stored N x H x W x C so that a gather comes out channels_last for free."""

    def __init__(self, images: Images, device: torch.device, *, channels_last: bool) -> None:
        pixels = images.pixels
        self.channels_last = channels_last
        self.pixels = (pixels.permute(0, 2, 3, 1) if channels_last else pixels).contiguous().to(device)
        self.labels = None if images.labels is None else images.labels.to(device)
        self.extra = {name: tensor.to(device) for name, tensor in images.extra.items()}

    def take(self, index: Tensor | slice) -> Tensor:
        """Float images in [-1, 1] of these rows."""
        pixels = self.pixels[index]
        return to_float(pixels.permute(0, 3, 1, 2) if self.channels_last else pixels)

    def in_batches(self, size: int, limit: int) -> Iterator[Tensor]:
        """The first `limit` images in order, `size` at a time."""
        for start in range(0, limit, size):
            yield self.take(slice(start, min(start + size, limit)))


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
        seed = derived_seed("transform", self.seed, self.role, step, self.rank)
        images = transformed(self.array.take(index), self.transforms, seed)
        labels = None if self.array.labels is None else self.array.labels[index]
        return Batch(images, labels, {name: tensor[index] for name, tensor in self.array.extra.items()})
