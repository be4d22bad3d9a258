"""Attention whose cost is linear in the number of positions (Shen et al. 2021, arXiv:1812.01243)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEAD = 64


class ChannelNorm(nn.Module):
    """Mean 0 and variance 1 over the channels of every position, then a learned scale and shift."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        rows = x.permute(0, 2, 3, 1)
        return F.layer_norm(rows, self.weight.shape, self.weight, self.bias).permute(0, 3, 1, 2)


class LinearAttention(nn.Module):
    """`linear_attention` in heads of 64 channels, then GELU and a 1 x 1 convolution.

    q comes from a 1 x 1 convolution, k and v from a depthwise 3 x 3 and a 1 x 1 convolution.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads, inner = heads, heads * HEAD
        self.query = nn.Conv2d(channels, inner, 1, bias=False)
        depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.key_value = nn.Sequential(depthwise, nn.Conv2d(channels, 2 * inner, 1, bias=False))
        self.out = nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        depthwise, pointwise = cast(Sequence[nn.Conv2d], self.key_value)
        spread = depthwise(x)
        # Two convolutions: of one, each half of the channels would be a tensor with gaps, slow to work on.
        key, value = (F.conv2d(spread, part) for part in pointwise.weight.chunk(2))
        query, key, value = map(self._heads, (self.query(x), key, value))
        found = linear_attention(query, key, value).transpose(1, 2)
        rows = found.reshape(x.shape[0], *x.shape[2:], self.heads * HEAD)
        return self.out(F.gelu(rows.permute(0, 3, 1, 2)))

    def _heads(self, x: Tensor) -> Tensor:
        """N x (heads 64) x H x W to N x heads x (H W) x 64."""
        return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, self.heads, HEAD).transpose(1, 2)


def linear_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Row i: the sum over j of (softmax(q_i) . p_j) v_j / sqrt(d), with p the softmax of k over positions.

    All are N x heads x positions x d. Because no softmax is taken of the products, p^T v, d x d, comes first.
    """
    context = key.softmax(-2).transpose(-1, -2) @ value
    return query.softmax(-1) @ (context * query.shape[-1] ** -0.5)


class AttentionBlock(nn.Module):
    """x + attention(norm(x)), then x + MLP(norm(x)) with twice the channels inside."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(ChannelNorm(channels), LinearAttention(channels, heads))
        layers = (
            nn.Conv2d(channels, 2 * channels, 1),
            nn.LeakyReLU(0.2, True),
            nn.Conv2d(2 * channels, channels, 1),
        )
        self.mlp = nn.Sequential(ChannelNorm(channels), *layers)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(x)
        return x + self.mlp(x)
