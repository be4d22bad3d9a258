"""Minibatch standard deviation: D sees how much images differ (Karras et al. 2018, arXiv:1710.10196)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MinibatchDeviation(nn.Module):
    """N x C x H x W to N x (C + 1) x H x W: one more channel, one number for each image (section 3).

    Images are in groups of `group`, or of the largest smaller number that divides N; the number is the mean
    over channels and positions of the deviation over a group. A G that repeats itself is seen by it.
    """

    def __init__(self, group: int) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        group = next(size for size in range(min(self.group, n), 0, -1) if n % size == 0)
        grouped = x.to(torch.promote_types(x.dtype, torch.float32)).reshape(group, n // group, -1)
        deviation = (grouped.var(0, correction=0) + 1e-8).sqrt().mean(1)
        channel = deviation.repeat(group).to(x.dtype)[:, None, None, None].expand(n, 1, height, width)
        return torch.cat([x, channel], 1)
