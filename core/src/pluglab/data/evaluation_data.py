"""The data of a run as evaluators see it: in order, not augmented, every reading of labels noted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pluglab.data.batches import ImageArray, transformed
from pluglab.errors import UserError
from pluglab.images import ImageSpec

if TYPE_CHECKING:
    from pluglab.data.run_data import RunData


@dataclass
class Evaluated:
    """How data are handed out for one evaluation; `labels_read` collects the roles whose labels were read.

    Without a device nothing but shapes and counts can be had, as in a check before the training.
    """

    device: torch.device | None = None
    channels_last: bool = False
    labels_read: set[str] = field(default_factory=set)


class RoleSplits(Mapping[str, "EvaluationSplit"]):
    """The splits of one role, loaded when first asked for. Raises `UserError` for one that there is not."""

    def __init__(
        self, role: str, run_data: RunData, evaluated: Evaluated, arrays: dict[tuple[str, str], Any]
    ) -> None:
        self.role, self._data, self._evaluated, self._arrays = role, run_data, evaluated, arrays
        self._known: dict[str, EvaluationSplit] = {}

    def __getitem__(self, split: str) -> EvaluationSplit:
        if split not in self._known:
            self._known[split] = EvaluationSplit(self.role, split, self._data, self._evaluated, self._arrays)
        return self._known[split]

    def __iter__(self) -> Iterator[str]:
        return iter(("train", "test"))

    def __len__(self) -> int:
        return 2


class EvaluationSplit:
    """One split of one role; see `protocols.EvaluationData`. What it hands out is the evaluator's own."""

    def __init__(
        self,
        role: str,
        split: str,
        run_data: RunData,
        evaluated: Evaluated,
        arrays: dict[tuple[str, str], Any],
    ) -> None:
        self._images = run_data.split(role, split)
        self._role, self._split, self._evaluated, self._arrays = role, split, evaluated, arrays
        self._transforms = [one for one in run_data.transforms[role] if not one.random]
        self._dataset = run_data.recipe.data[role].dataset.name
        self._digest = run_data.recorded.hashes[role][split]

    @property
    def role(self) -> str:
        return self._role

    @property
    def split(self) -> str:
        return self._split

    @property
    def spec(self) -> ImageSpec:
        return self._images.spec

    @property
    def dataset(self) -> str:
        return self._dataset

    @property
    def digest(self) -> str:
        return self._digest

    @property
    def labeled(self) -> bool:
        return self._images.labels is not None

    @property
    def labels(self) -> Tensor:
        self._device()
        self._evaluated.labels_read.add(self._role)
        if self._images.labels is None:
            raise UserError(f"the '{self._split}' split of '{self._role}' has no labels")
        return self._images.labels.clone()

    def batches(self, size: int = 500, limit: int | None = None) -> Iterator[Tensor]:
        array = self._array(self._device())
        count = min(len(self._images), limit or len(self._images))
        return (transformed(images, self._transforms, seed=0) for images in array.in_batches(size, count))

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
        key = self._role, self._split
        if key not in self._arrays:
            layout = self._evaluated.channels_last
            self._arrays[key] = ImageArray(self._images, device, channels_last=layout)
        array: ImageArray = self._arrays[key]
        return array
