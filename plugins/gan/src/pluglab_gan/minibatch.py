"""Minibatch standard deviation: D sees how much images differ (Karras et al. 2018, arXiv:1710.10196)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MinibatchDeviation(nn.Module):
    """N x C x H x W to N x (C + 1) x H x W: one more channel, one number for each image (section 3).

    Images are in groups of `group`, or of the largest smaller number that divides N. Where only 1 does, some
    groups have an image more than others, and none less than `group`. The number is the mean over channels
    and positions of the deviation over a group. A G that repeats itself is seen by it.
    """

    def __init__(self, group: int) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        most = min(self.group, n)
        group = next(size for size in range(most, 0, -1) if n % size == 0)
        groups = n // group if group > 1 else n // most
        values = x.to(torch.promote_types(x.dtype, torch.float32)).flatten(1)
        if n % groups:
            rows = [values[i::groups] for i in range(groups)]
            deviation = torch.stack([_deviation(part[:, None])[0] for part in rows])
        else:
            deviation = _deviation(values.reshape(n // groups, groups, -1))
        number = deviation.repeat(-(-n // groups))[:n]
        channel = number.to(x.dtype)[:, None, None, None].expand(n, 1, height, width)
        return torch.cat([x, channel], 1)


def _deviation(grouped: Tensor) -> Tensor:
    """Of M x groups x values: the mean deviation over M, a number a group."""
    return (grouped.var(0, correction=0) + 1e-8).sqrt().mean(1)
