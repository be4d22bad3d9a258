"""The training data of a role: one uint8 array, and batches that are a function of (seed, role, step)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from pluglab.data.whole_batch import whole_batch
from pluglab.images import Images, to_float
from pluglab.plugins.returned import check_transformed
from pluglab.protocols import Batch, Transform
from pluglab.seeds import derived_seed


class Order:
    """The endless row of a role's images: one fresh permutation an epoch. That of the present epoch is kept,
    8 bytes an image."""

    def __init__(self, seed: int, role: str, count: int) -> None:
        self.seed, self.role, self.count = seed, role, count
        self._kept: tuple[int, Tensor] | None = None

    def batch(self, step: int, size: int) -> Tensor:
        """The images of batch `step`: a window on the row."""
        parts, position, end = [], step * size, (step + 1) * size
        while position < end:
            epoch, offset = divmod(position, self.count)
            # A copy, so that a batch does not keep a whole permutation.
            part = self._permutation(epoch)[offset : offset + end - position].clone()
            parts.append(part)
            position += len(part)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _permutation(self, epoch: int) -> Tensor:
        if self._kept is None or self._kept[0] != epoch:
            self._kept = None  # before there is another
            generator = torch.Generator().manual_seed(derived_seed("order", self.seed, self.role, epoch))
            self._kept = epoch, torch.randperm(self.count, generator=generator)
        return self._kept[1]


def batch_indices(seed: int, role: str, step: int, count: int, size: int) -> Tensor:
    """The images of batch `step` of a role with so many images."""
    return Order(seed, role, count).batch(step, size)


def transformed(images: Tensor, transforms: Iterable[Transform], seed: int) -> Tensor:
    """The images after each transform in turn, whose randomness comes from the seed."""
    generator = None
    for transform in transforms:
        generator = generator or torch.Generator(images.device).manual_seed(seed)
        images = check_transformed(transform, images, transform(images, generator))
    return images


def fits(pixels: Tensor, device: torch.device) -> bool:
    """Whether the pixels may lie on the device. No GPU has tried what is done where they may not."""
    if device.type != "cuda" or pixels.device == device:
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return pixels.nbytes <= free / 2


class ImageArray:
    """The pixels of a split on the device: what the data set has, where that is the device already.

    Pixels that would take more than half of a GPU's free memory stay where they are, in memory or in a mapped
    file, and each batch is fetched from there through pinned memory.

    A batch is laid out when it is taken. That costs a few tenths of a millisecond, and a second array of all
    images in that layout would cost as much memory as the first.
    """

    def __init__(self, images: Images, device: torch.device, *, channels_last: bool) -> None:
        self.device = device
        self.pixels = images.pixels.to(device if fits(images.pixels, device) else "cpu")
        self.is_away = self.pixels.device.type != device.type
        self.layout = torch.channels_last if channels_last else torch.contiguous_format

    def take(self, index: Tensor | slice) -> Tensor:
        """Float images in [-1, 1] of these rows."""
        if not self.is_away:
            return to_float(self.pixels[index]).contiguous(memory_format=self.layout)
        rows = self.pixels[index.cpu() if isinstance(index, Tensor) else index].pin_memory()
        return to_float(rows.to(self.device, non_blocking=True)).contiguous(memory_format=self.layout)

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
        self.order = Order(seed, role, len(images))
        self.device, self.transforms = device, tuple(transforms)
        self.rank, self.world_size = rank, world_size

    def batch(self, step: int) -> Batch:
        chosen = self.order.batch(step, self.batch_size)[self.rank :: self.world_size]
        index = chosen.to(self.device, non_blocking=True)
        seed = derived_seed("transform", self.seed, self.role, step, 0)
        with whole_batch(self.rank, self.world_size, len(index)):
            images = transformed(
                self.array.take(chosen if self.array.is_away else index), self.transforms, seed
            )
        labels = None if self.labels is None else self.labels[index]
        return Batch(images, labels, {name: tensor[index] for name, tensor in self.extra.items()})
