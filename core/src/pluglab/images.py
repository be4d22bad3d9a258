"""What a data set hands over: one split's images, and their shape. Importing this imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pluglab.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ImageSpec:
    """The shape of a role's images, all that a trainer needs to build its networks.

    `classes` are the names of the label values 0 to len - 1, or None for unlabelled data; they describe
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


@dataclass(frozen=True)
class Images:
    """One split. `pixels`: uint8 N x C x H x W (memory-mapped or in RAM). `labels`: int64 N, or None.

    `classes` names the label values; `provenance` says what the arrays were made from (files, hashes,
    seeds) and is recorded in the run. Raises `UserError` for shapes that do not fit together.
    """

    pixels: Tensor
    labels: Tensor | None = None
    classes: tuple[str, ...] | None = None
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if _dtype(self.pixels) != "uint8" or self.pixels.ndim != 4:
            raise UserError(f"images must be uint8 N x C x H x W, got {_describe(self.pixels)}")
        if self.labels is not None and (
            _dtype(self.labels) != "int64" or self.labels.shape != self.pixels.shape[:1]
        ):
            raise UserError(f"labels must be int64 of length {len(self)}, got {_describe(self.labels)}")

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def spec(self) -> ImageSpec:
        count, channels, height, width = self.pixels.shape
        return ImageSpec(channels, height, width, count, self.classes)

    def without_labels(self) -> Images:
        return replace(self, labels=None)

    def in_colour(self) -> Images:
        """The same images with three channels; a grey image repeats its one."""
        return replace(self, pixels=self.pixels.expand(-1, 3, -1, -1)) if self.pixels.shape[1] == 1 else self


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _describe(tensor: Tensor) -> str:
    return f"{_dtype(tensor)} {' x '.join(map(str, tensor.shape))}"
