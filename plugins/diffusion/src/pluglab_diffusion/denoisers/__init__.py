"""Kind `denoiser`: the network of a diffusion model. Imports no torch.

A denoiser is a module built with the shape of the images, the number of classes (0: unconditional) and the
number T of noise levels. It is called with

* `x`: noisy images, float N x C x H x W;
* `t`: their noise levels, N in [0, T], where 0 is the least noise: int64, or float of a continuous process;
* `labels`: int64 N; `NO_CLASS` asks for no class, as always for an unconditional model;

and returns N x C x H x W: what the model predicts (the noise, the image or v).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from pluglab.protocols import ImageSpec

NO_CLASS = -1


class Denoiser(Protocol):
    """What a trainer needs of a denoiser. `__init__` raises `UserError` for images that do not fit."""

    def __init__(self, config: Any, spec: ImageSpec, num_classes: int, timesteps: int) -> None: ...
    def __call__(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor: ...
