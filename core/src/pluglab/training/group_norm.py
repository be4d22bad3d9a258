"""Group norm, by whichever way is quickest where it is computed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

NARROW = 16  # channels: torch's kernel goes through bf16 by so many at once, and through fewer one by one
WAYS_FOR = ("cpu",)  # types of devices


class GroupNorm(nn.GroupNorm):
    """Torch's, equal but for rounding.

    On a CPU, of bf16 in channels_last, groups of few channels take torch two to four times as long as with a
    copy in the other layout, the copying included.
    """

    def forward(self, input: Tensor) -> Tensor:
        """N x C x H x W to the same, in the same layout."""
        if not self._goes_round(input):
            return super().forward(input)
        copy: Tensor = _Contiguous.apply(input)
        return super().forward(copy).contiguous(memory_format=torch.channels_last)

    def _goes_round(self, input: Tensor) -> bool:
        narrow = self.num_groups > 1 and self.num_channels < NARROW * self.num_groups
        if not narrow or input.dtype != torch.bfloat16 or input.device.type not in WAYS_FOR:
            return False
        last = input.ndim == 4 and input.is_contiguous(memory_format=torch.channels_last)
        return last and not input.is_contiguous()


class _Contiguous(torch.autograd.Function):
    """A copy in torch's default layout, whose gradient comes back in channels_last, as what is behind it
    wants it."""

    @staticmethod
    def forward(ctx: Any, input: Tensor) -> Tensor:
        return input.contiguous()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.contiguous(memory_format=torch.channels_last)
