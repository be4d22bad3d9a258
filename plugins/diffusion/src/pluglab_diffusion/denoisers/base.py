"""What the denoisers share: how times and classes enter a network, and which sizes it can halve."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pluglab.protocols import ImageSpec
from pluglab_diffusion.denoisers import NO_CLASS


def sinusoids(t: Tensor, width: int) -> Tensor:
    """Sines and cosines of t at frequencies from 1 down to 1/10000: N to N x width (Vaswani et al. 2017)."""
    half = width // 2
    frequencies = torch.exp(torch.arange(half, device=t.device) * (-math.log(10_000) / half))
    angles = t.float()[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class ClassEmbedding(nn.Module):
    """Labels int64 N to N x width; row 0 stands for "no class"."""

    def __init__(self, num_classes: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(num_classes + 1, width)

    def forward(self, labels: Tensor) -> Tensor:
        return self.table(labels - NO_CLASS)


def check_size(spec: ImageSpec, divisor: int, name: str, help: str) -> None:
    """Raises `UserError` where height or width is no multiple of `divisor`."""
    whole = not (spec.height % divisor or spec.width % divisor)
    ways = f"choose a `size` that is a multiple of {divisor}", help
    spec.require(whole, f"denoiser '{name}'", f"multiples of {divisor}, for it halves them", *ways)
