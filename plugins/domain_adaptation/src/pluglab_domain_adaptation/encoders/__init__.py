"""Kind `encoder`: the networks of one preset, shared by every method. Imports no torch.

An encoder is built with the shape of the images and hands out its networks, a fresh one at each call:

* `features()`: images N x C x H x W in [-1, 1] to features N x F, with F = `out_features`;
* `classifier(classes)`: features N x F to class logits N x K;
* `private_features()`: another network like `features()`, for methods that give each domain its own (DSN);
* `discriminator()`: features N x F to domain logits, N x 1 (large means target) or N x 2 (source, target).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pluglab.protocols import ImageSpec


class Encoder(Protocol):
    """What a method needs of an encoder. `__init__` raises `UserError` for images that do not fit."""

    @property
    def out_features(self) -> int:
        """F."""
        ...

    def __init__(self, config: Any, spec: ImageSpec) -> None: ...
    def features(self) -> nn.Module: ...
    def private_features(self) -> nn.Module: ...
    def classifier(self, classes: int) -> nn.Module: ...
    def discriminator(self) -> nn.Module: ...


class Decoder(Protocol):
    """One network for both domains: features N x F to images N x C x H x W."""

    def __init__(self, config: Any, in_features: int, spec: ImageSpec) -> None: ...
    def __call__(self, features: Tensor) -> Tensor: ...
