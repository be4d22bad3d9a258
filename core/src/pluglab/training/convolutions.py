"""Convolutions, by whichever way is quickest where they are computed."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WAYS_FOR = ("cpu",)  # types of devices


class ConvTranspose2d(nn.ConvTranspose2d):
    """Torch's, equal but for rounding, in two cases by a way that takes a CPU less time.

    Of an image of one pixel it is a matrix product: five times as fast there, forward and back. And in bf16
    the gradient of the bias takes longer than all that is behind it, unless the bias is added by itself.
    """

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """N x C x H x W to what `torch.nn.ConvTranspose2d` makes of it."""
        if input.device.type not in WAYS_FOR or output_size is not None or input.ndim != 4:
            return super().forward(input, output_size)
        if self._is_product(input):
            return self._product(input)
        if self.bias is None or not self._in_bf16():
            return super().forward(input)
        plain = F.conv_transpose2d(
            input,
            self.weight,
            None,
            self.stride,
            cast(tuple[int, ...], self.padding),  # words are for convolutions that are not transposed
            self.output_padding,
            self.groups,
            self.dilation,
        )
        return plain + self.bias.to(plain.dtype)[:, None, None]

    def _is_product(self, input: Tensor) -> bool:
        zero, one = (0, 0), (1, 1)
        alone = self.padding == self.output_padding == zero and self.dilation == one
        return tuple(input.shape[2:]) == one and self.groups == 1 and alone

    def _product(self, pixels: Tensor) -> Tensor:
        """N x C x 1 x 1 times the weight, in whose layout the places of a kernel stay."""
        inputs, outputs, height, width = self.weight.shape
        last = self.weight.stride(1) < self.weight.stride(3)  # channels_last
        weight = self.weight.permute(0, 2, 3, 1) if last else self.weight
        bias = self.bias
        if bias is not None:
            bias = bias.repeat(height * width) if last else bias.repeat_interleave(height * width)
        product = F.linear(pixels.flatten(1), weight.reshape(inputs, -1).T, bias)
        if last:
            return product.view(pixels.shape[0], height, width, outputs).permute(0, 3, 1, 2)
        return product.view(pixels.shape[0], outputs, height, width)

    def _in_bf16(self) -> bool:
        autocast = torch.is_autocast_enabled("cpu")
        dtype = torch.get_autocast_dtype("cpu") if autocast else self.weight.dtype
        return dtype == torch.bfloat16
