"""What every score of generated images stands on: features, and who extracts them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from pluglab.errors import RunError, UserError
from pluglab.images import ImageSpec
from pluglab.protocols import DataContext


class Features(NamedTuple):
    """`features`: float32 N x d. `logits`: float32 N x K, or None where the extractor has no classifier."""

    features: Tensor
    logits: Tensor | None = None


class FeatureExtractor(Protocol):
    """A component of the kind `feature_extractor`; constructed from its `Config`, if it has one.

    `name` stands beside every score, `identity` keys cached features (it must change with the weights),
    `notes` are the settings that a reader needs to compare scores. `classes` are the names of the logits, or
    None. All four may be read after `prepare`. One that cannot read images of every shape has a method
    `check(spec)`, which raises `UserError`.
    """

    @property
    def name(self) -> str: ...
    @property
    def identity(self) -> str: ...
    @property
    def notes(self) -> dict[str, str]: ...
    @property
    def classes(self) -> tuple[str, ...] | None: ...

    def prepare(self, context: DataContext) -> None:
        """Find, download or train what is needed. Raises `UserError` with the way out."""

    def to(self, device: torch.device) -> None: ...

    def __call__(self, images: Tensor) -> Features:
        """Features of uint8 N x C x H x W images."""
        ...


def require_colors(spec: ImageSpec, extractor: str) -> None:
    """Raises `UserError` for images that are neither gray nor in color."""
    if spec.channels not in (1, 3):
        message = f"'{extractor}' reads gray and color images, and these have {spec.channels} channels"
        raise UserError(message, help=["choose a feature extractor for them, or gray or color images"])


def extract(extractor: Callable[[Tensor], Features], batches: Iterable[Tensor]) -> Features:
    """Features of all batches of uint8 images, on the CPU. Raises `RunError` where some are not finite."""
    parts = [extractor(images) for images in batches]
    features = torch.cat([part.features.float().cpu() for part in parts])
    if not features.isfinite().all():
        raise RunError("the feature extractor gives NaN or infinite features, of which there is no score")
    logits: list[Any] = [part.logits.float().cpu() for part in parts if part.logits is not None]
    return Features(features, torch.cat(logits) if logits else None)
