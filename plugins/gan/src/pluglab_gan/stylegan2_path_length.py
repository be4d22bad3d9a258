"""Path-length regularization: equal steps of the style change the image equally (Karras et al. 2020)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from pluglab_gan.penalties import Gradient, gradient_of

RATE = 0.01  # of the running mean a


def path_lengths(
    images: Tensor, styles: Tensor, directions: Tensor, gradient: Gradient = gradient_of
) -> Tensor:
    """|J^T y| for each image, N: J is the derivative of its pixels by its style, y a normal direction.

    `images` N x C x H x W depend on `styles` N x blocks x Z. `directions` are standard normal, shaped as the
    images, and are divided by sqrt(H W). Squares are summed over Z and averaged over blocks.
    """
    along = (images * directions).sum() / math.sqrt(images.shape[2] * images.shape[3])
    return gradient(along, styles).square().sum(2).mean(1).sqrt()


class PathLength:
    """(|J^T y| - a)^2, averaged over images, with a the running mean of the lengths (eq. 4).

    Until 1 / RATE calls, a is the plain mean of all lengths so far: from 0, as in the official code, it would
    first pull every length towards 0.
    """

    def __init__(self) -> None:
        self.mean = torch.zeros(())

    def penalty(self, lengths: Tensor, average: Tensor, calls: int) -> Tensor:
        """The penalty on `lengths` N after `calls` earlier ones; `average` is their mean in all processes."""
        self.mean = self.mean.to(average).lerp(average.detach(), max(RATE, 1 / (calls + 1)))
        return (lengths - self.mean).square().mean()

    def state_dict(self) -> dict[str, Any]:
        return {"mean": self.mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.mean = state["mean"]
