"""The data of a run as evaluators see it: in order, not augmented, every reading of labels noted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pluglab.data.batches import ImageArray, ImageArrays, transformed
from pluglab.errors import UserError
from pluglab.images import Images, ImageSpec
from pluglab.protocols import Transform


@dataclass
class Evaluated:
    """How data are handed out for one evaluation; `labels_read` collects the roles whose labels were read.

    Without a device nothing but shapes and counts can be had, as in a check before the training.
    """

    device: torch.device | None = None
    channels_last: bool = False
    labels_read: set[str] = field(default_factory=set)


class RoleSplits(Mapping[str, "EvaluationSplit"]):
    """The splits of one role, loaded by `load` when first asked for: it raises `UserError` for one that there
    is not."""

    def __init__(self, load: Callable[[str], EvaluationSplit]) -> None:
        self._load = load
        self._known: dict[str, EvaluationSplit] = {}

    def __getitem__(self, split: str) -> EvaluationSplit:
        if split not in self._known:
            self._known[split] = self._load(split)
        return self._known[split]

    def __iter__(self) -> Iterator[str]:
        return iter(("train", "test"))

    def __len__(self) -> int:
        return 2


@dataclass(frozen=True)
class EvaluationSplit:
    """One split of one role; see `protocols.EvaluationData`. What it hands out is the evaluator's own."""

    role: str
    split: str
    dataset: str
    digest: str
    _images: Images
    _transforms: Sequence[Transform]
    _evaluated: Evaluated
    _arrays: ImageArrays

    @property
    def spec(self) -> ImageSpec:
        return self._images.spec

    @property
    def labeled(self) -> bool:
        return self._images.labels is not None

    @property
    def labels(self) -> Tensor:
        self._device()
        self._evaluated.labels_read.add(self.role)
        if self._images.labels is None:
            raise UserError(f"the '{self.split}' split of '{self.role}' has no labels")
        return self._images.labels.clone()

    def batches(self, size: int = 500, limit: int | None = None) -> Iterator[Tensor]:
        array = self._array(self._device())
        count = min(len(self._images), limit or len(self._images))
        return (transformed(images, self._transforms, seed=0) for images in array.in_batches(size, count))

    def rows(self, index: Tensor) -> Tensor:
        """The images at these row numbers, as `batches` has them."""
        device = self._device()
        return transformed(self._array(device).take(index.to(device)), self._transforms, seed=0)

    def raw(self, limit: int | None = None) -> Tensor:
        self._device()
        return self._images.pixels[:limit].clone()

    def _device(self) -> torch.device:
        if self._evaluated.device is None:
            raise UserError(
                "before the training, check() can ask data for shapes and counts, not for content"
            )
        return self._evaluated.device

    def _array(self, device: torch.device) -> ImageArray:
        layout = self._evaluated.channels_last
        return self._arrays.of(self.role, self.split, self._images, device, channels_last=layout)
