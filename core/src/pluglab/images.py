"""What a data set hands over: one split's images, and their shape. Importing this imports no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pluglab.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

ROWS_HASHED = 4096  # images copied at a time where an array is not contiguous


@dataclass(frozen=True)
class ImageSpec:
    """The shape of a role's images, all that a trainer needs to build its networks.

    `classes` are the names of the label values 0 to len - 1, or None for unlabeled data. They describe
    the task, so a role whose labels are hidden still has them where the data set declares them.
    """

    channels: int
    height: int
    width: int
    count: int
    classes: tuple[str, ...] | None = None

    @property
    def num_classes(self) -> int:
        return len(self.classes or ())

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return self.channels, self.height, self.width

    def class_name(self, label: int) -> str:
        """The name of a label value; its number where it has none."""
        return self.classes[label] if self.classes and 0 <= label < len(self.classes) else str(label)

    def blank(self, n: int = 2, device: torch.device | str | None = None) -> Tensor:
        """n mid-gray images, float n x C x H x W: inputs to try a network with."""
        import torch

        return torch.zeros(n, *self.shape, device=device)

    def require(self, fits: bool, who: str, wants: str, *ways_out: str) -> None:
        """Raises `UserError` unless `fits`: `who` cannot take images of this size, but `wants` others."""
        if not fits:
            message = f"{who} cannot take images of {self.height} x {self.width}: it wants {wants}"
            raise UserError(
                message, help=ways_out or ["set the data set's `size`, as in data.train.size = 64"]
            )


@dataclass(frozen=True, eq=False)
class Images:
    """One split. `pixels`: uint8 N x C x H x W (memory-mapped or in RAM). `labels`: int64 N x ..., or None.

    Labels of one axis are classes; more axes are masks, several labels an image, or what a trainer makes of
    them. `classes` names the label values. `extra` holds further tensors of N rows, by name, such as captions
    as token numbers. `provenance` says what the arrays were made from (files, hashes, seeds) and is recorded
    in the run. Raises `UserError` for what does not fit together.
    """

    pixels: Tensor
    labels: Tensor | None = None
    classes: tuple[str, ...] | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if _dtype(self.pixels) != "uint8" or self.pixels.ndim != 4:
            raise UserError(f"images must be uint8 N x C x H x W, got {_describe(self.pixels)}")
        if self.labels is not None:
            self._check_labels(self.labels)
        for name, tensor in self.extra.items():
            if tensor.shape[:1] != self.pixels.shape[:1]:
                message = f"extra '{name}' must have {len(self)} rows, one an image, got {_describe(tensor)}"
                raise UserError(message)

    def _check_labels(self, labels: Tensor) -> None:
        if _dtype(labels) != "int64" or labels.shape[:1] != self.pixels.shape[:1]:
            raise UserError(f"labels must be int64 of length {len(self)}, got {_describe(labels)}")
        if self.classes is None or not labels.numel():
            return
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= len(self.classes):
            message = f"there is a label {low if low < 0 else high}, and the {len(self.classes)} classes are "
            raise UserError(f"{message}counted from 0", help=[f"classes: {', '.join(self.classes)}"])

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def spec(self) -> ImageSpec:
        count, channels, height, width = self.pixels.shape
        return ImageSpec(channels, height, width, count, self.classes)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that training could depend on: pixels, labels, class names and extras."""
        found = hashlib.sha256(repr(self.classes).encode())
        named = {"pixels": self.pixels, "labels": self.labels, **dict(sorted(self.extra.items()))}
        for name, tensor in named.items():
            if tensor is not None:
                found.update(f"{name} {_describe(tensor)}".encode())
                for part in _contiguous_parts(tensor):
                    found.update(part.numpy().data)
        return found.hexdigest()

    def without_labels(self) -> Images:
        return replace(self, labels=None)

    def in_color(self) -> Images:
        """The same images with three channels; a gray image repeats its one."""
        return replace(self, pixels=self.pixels.expand(-1, 3, -1, -1)) if self.pixels.shape[1] == 1 else self

    def with_classes(self, classes: tuple[str, ...]) -> Images:
        """The same images, their labels renumbered for these class names, which include all of their own."""
        if self.classes is None or self.classes == classes:
            return self
        import torch

        number = torch.tensor([classes.index(name) for name in self.classes])
        return replace(self, classes=classes, labels=None if self.labels is None else number[self.labels])


def to_float(pixels: Tensor) -> Tensor:
    """uint8 in 0..255 to float in [-1, 1], keeping the memory layout."""
    return pixels.float().mul_(2 / 255).sub_(1)


def to_uint8(images: Tensor) -> Tensor:
    """Float in [-1, 1] to uint8, rounded to the nearest level and clamped."""
    return images.float().add(1).mul(127.5).round().clamp(0, 255).byte()


def _contiguous_parts(tensor: Tensor) -> Iterator[Tensor]:
    """The tensor in row order; whole where no copy is needed."""
    if tensor.is_contiguous():
        return iter([tensor])
    return (part.contiguous() for part in tensor.split(ROWS_HASHED))


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _describe(tensor: Tensor) -> str:
    return f"{_dtype(tensor)} {' x '.join(map(str, tensor.shape))}"
