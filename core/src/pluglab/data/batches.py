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
    """The pixels of a split on the device: what the data set has, where that is the device already.

    A batch is laid out when it is taken. That costs a few tenths of a millisecond, and a second array of all
    images in that layout would cost as much memory as the first.
    """

    def __init__(self, images: Images, device: torch.device, *, channels_last: bool) -> None:
        self.pixels = images.pixels.to(device)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format

    def take(self, index: Tensor | slice) -> Tensor:
        """Float images in [-1, 1] of these rows."""
        return to_float(self.pixels[index]).contiguous(memory_format=self.layout)

    def in_batches(self, size: int, limit: int) -> Iterator[Tensor]:
        """The first `limit` images in order, `size` at a time."""
        for start in range(0, limit, size):
            yield self.take(slice(start, min(start + size, limit)))


class ImageArrays:
    """The splits of a run on the device, each of them once, for its training and all its evaluations."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], ImageArray] = {}

    def of(
        self, role: str, split: str, images: Images, device: torch.device, *, channels_last: bool
    ) -> ImageArray:
        """That of a role's split, whose images these are."""
        key = role, split
        if key not in self._known:
            self._known[key] = ImageArray(images, device, channels_last=channels_last)
        return self._known[key]


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
        array: ImageArray | None = None,
    ) -> None:
        """`array`: the images on the device, where they are there already."""
        self.array = array or ImageArray(images, device, channels_last=channels_last)
        self.labels = None if images.labels is None else images.labels.to(device)
        self.extra = {name: tensor.to(device) for name, tensor in images.extra.items()}
        self.role, self.seed, self.batch_size = role, seed, batch_size
        self.count, self.device, self.transforms = len(images), device, tuple(transforms)
        self.rank, self.world_size = rank, world_size

    def batch(self, step: int) -> Batch:
        index = batch_indices(self.seed, self.role, step, self.count, self.batch_size)
        index = index[self.rank :: self.world_size].to(self.device, non_blocking=True)
        seed = derived_seed("transform", self.seed, self.role, step, self.rank)
        images = transformed(self.array.take(index), self.transforms, seed)
        labels = None if self.labels is None else self.labels[index]
        return Batch(images, labels, {name: tensor[index] for name, tensor in self.extra.items()})
