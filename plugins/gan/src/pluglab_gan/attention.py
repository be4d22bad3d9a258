"""Self-attention over the places of a feature map (Zhang et al. 2019, arXiv:1805.08318)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pluglab.training.attention import attend


class SelfAttention(nn.Module):
    """x + gamma times, at each place, the mean of all places' values weighted by softmax(query . key); gamma
    starts at 0 (eq. 1 to 3).

    Queries and keys have an eighth of the channels, values all of them. `pooled` keeps the largest of each
    2 x 2 keys and values, as the authors' code does: a quarter of the work.
    """

    def __init__(self, channels: int, pooled: bool = True) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels // 8, 1)
        self.key = nn.Conv2d(channels, channels // 8, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(()))
        self.pool = nn.MaxPool2d(2) if pooled else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.query(x), self.pool(self.key(x)), self.pool(self.value(x))
        mixed = attend(_places(query), _places(key), _places(value), scale=1.0)
        return x + self.gamma * mixed.transpose(1, 2).reshape(x.shape)


def _places(features: Tensor) -> Tensor:
    """N x C x H x W to N x HW x C."""
    return features.flatten(2).transpose(1, 2)
