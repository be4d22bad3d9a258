"""DiffAugment: differentiable augmentation of what D sees (Zhao et al. 2020, arXiv:2006.10738).

The same kind of change is made to real and to generated images, in the steps of D and of G. So D cannot learn
the training set by heart, and G does not learn the change. Each image has its own draw, and a batch is
changed by a few operations on all of its images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Policy = Literal["color", "translation", "cutout"]


def diff_augment(images: Tensor, policies: Sequence[Policy]) -> Tensor:
    """Images in [-1, 1], N x C x H x W, changed by each policy in turn; gradients reach every image."""
    for policy in policies:
        for change in POLICIES[policy]:
            images = change(images)
    return images


def brightness(images: Tensor) -> Tensor:
    """A shift of up to 0.5 either way."""
    return images + (_draw(images) - 0.5)


def saturation(images: Tensor) -> Tensor:
    """Distance to the pixel's gray times 0 to 2; a gray image stays."""
    gray = images.mean(1, keepdim=True)
    return torch.lerp(gray, images, 2 * _draw(images))


def contrast(images: Tensor) -> Tensor:
    """Distance to the image's mean times 0.5 to 1.5."""
    mean = images.mean((1, 2, 3), keepdim=True)
    return torch.lerp(mean, images, _draw(images) + 0.5)


def translation(images: Tensor, share: float = 0.125) -> Tensor:
    """A shift by whole pixels, up to `share` of the size along each axis; mid-gray comes in."""
    n, _, height, width = images.shape
    rows = _shifted(n, height, share, images.device)[:, :, None]
    columns = _shifted(n, width, share, images.device)[:, None, :]
    framed = F.pad(images, (1, 1, 1, 1)).permute(0, 2, 3, 1)
    image = torch.arange(n, device=images.device)[:, None, None]
    return framed[image, rows, columns].permute(0, 3, 1, 2)


def _shifted(n: int, size: int, share: float, device: torch.device) -> Tensor:
    """Which row of the image, counted from 1 within a frame of one pixel, lands at each place: n x size."""
    reach = round(size * share)
    shift = torch.randint(-reach, reach + 1, (n, 1), device=device)
    return (torch.arange(1, size + 1, device=device) + shift).clamp_(0, size + 1)


def cutout(images: Tensor, share: float = 0.5) -> Tensor:
    """A square of `share` of the size, at a random place and partly outside, becomes mid-gray."""
    n, _, height, width = images.shape
    rows = _covered(n, height, share, images.device)[:, None, :, None]
    columns = _covered(n, width, share, images.device)[:, None, None, :]
    return images * ~(rows & columns)


def _covered(n: int, size: int, share: float, device: torch.device) -> Tensor:
    """Which places along an axis lie in the square: bool n x size."""
    side = round(size * share)
    start = torch.randint(0, size + 1 - side % 2, (n, 1), device=device) - side // 2
    places = torch.arange(size, device=device)
    return (places >= start) & (places < start + side)


def _draw(images: Tensor) -> Tensor:
    """Uniform in [0, 1), one an image."""
    return torch.rand(len(images), 1, 1, 1, dtype=images.dtype, device=images.device)


POLICIES: dict[Policy, tuple[Callable[[Tensor], Tensor], ...]] = {
    "color": (brightness, saturation, contrast),
    "translation": (translation,),
    "cutout": (cutout,),
}
