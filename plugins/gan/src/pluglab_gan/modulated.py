"""Layers of style-based generators: modulated convolution, noise, blur, and rates made equal."""

from __future__ import annotations

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2
GAIN = math.sqrt(2)  # a leaky ReLU about halves the mean square


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2 times sqrt(2), which keeps the mean square of a Gaussian (x 1.04)."""
    return F.leaky_relu(x, SLOPE) * GAIN


double_size = partial(F.interpolate, scale_factor=2, mode="bilinear", align_corners=False)


class EqualLinear(nn.Linear):
    """Linear layer whose initial scale is applied in the forward pass (Karras et al. 2018, section 4.1).

    Weights start at N(0, 1) / `lr_multiplier`, and are used times `lr_multiplier` / sqrt(inputs); the bias
    times `lr_multiplier`. An optimizer that normalizes its steps, such as Adam, then moves the effective
    weights `lr_multiplier` times as fast (Karras et al. 2019, appendix C).
    """

    def __init__(self, inputs: int, outputs: int, lr_multiplier: float = 1.0) -> None:
        super().__init__(inputs, outputs)
        self.lr_multiplier, self.scale = lr_multiplier, lr_multiplier / math.sqrt(inputs)
        nn.init.normal_(self.weight, std=1 / lr_multiplier)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias * self.lr_multiplier)


class ModulatedConv(nn.Module):
    """Convolution of any odd kernel size with one style per image (Karras et al. 2020, eq. 1 and 3).

    The paper scales the weights, w'_ijk = s_i w_ijk, and divides them by their norm over i and k for each
    output channel j. That is a grouped convolution with as many groups as images. Scaling the input channels
    by s_i and the output channels by one over that norm is the same, and leaves one convolution of shared
    weights.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, demodulate: bool = True) -> None:
        super().__init__()
        self.demodulate, self.padding = demodulate, kernel // 2
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        nn.init.normal_(self.weight, std=1 / math.sqrt(inputs * kernel**2))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """N x C x H x W and styles N x C to N x O x H x W. Demodulated, unit variance stays unit variance."""
        x = self._convolved(x, style)
        return x * per_channel(self.demodulation(style), x) if self.demodulate else x

    def apart(self, x: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        """The result before it is demodulated, and by what it is to be multiplied, N x O."""
        return self._convolved(x, style), self.demodulation(style)

    def _convolved(self, x: Tensor, style: Tensor) -> Tensor:
        return F.conv2d(x * per_channel(style, x), self.weight, padding=self.padding)

    def demodulation(self, style: Tensor) -> Tensor:
        """1 / sqrt(sum over i, k of (s_i w_ijk)^2), N x O, in the precision of the parameters."""
        with torch.autocast(style.device.type, enabled=False):
            energy = self.weight.square().sum((2, 3))
            return (F.linear(style.to(energy.dtype).square(), energy) + 1e-8).rsqrt()


def per_channel(values: Tensor, x: Tensor) -> Tensor:
    """N x C or C values, to be broadcast over images like `x`, in its type."""
    return values[..., None, None].to(x.dtype)


class StyleLayer(nn.Module):
    """Style projection, modulated 3 x 3 convolution, noise with a strength per channel, bias, activation."""

    def __init__(self, style_size: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.style = style_projection(style_size, inputs)
        self.conv = ModulatedConv(inputs, outputs, 3)
        self.noise_strength = nn.Parameter(torch.zeros(outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        """`w`: N x style_size; `noise`: one channel, for each image or one for all."""
        x, scale = self.conv.apart(x, self.style(w))
        # `activate`, whose gain may as well be applied before: with the scale, and to small tensors.
        scale, bias, strength = (
            per_channel(GAIN * part, x) for part in (scale, self.bias, self.noise_strength)
        )
        offset = torch.addcmul(bias, noise.to(x.dtype), strength)
        return F.leaky_relu_(torch.addcmul(offset, x, scale), SLOPE)


class ToImage(nn.Module):
    """A modulated 1 x 1 convolution without demodulation: N x C x H x W features to images. In float32
    whatever the precision, because the sum over all sizes is the picture itself."""

    def __init__(self, style_size: int, inputs: int, channels: int) -> None:
        super().__init__()
        self.style = style_projection(style_size, inputs)
        self.conv = ModulatedConv(inputs, channels, 1, demodulate=False)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return self.conv(x, self.style(w)).float()


def style_projection(style_size: int, channels: int) -> nn.Linear:
    """w to the scales of the input channels, which start around 1 (Karras et al. 2020, appendix B)."""
    projection = nn.Linear(style_size, channels)
    nn.init.normal_(projection.weight, std=1 / math.sqrt(style_size))
    nn.init.ones_(projection.bias)
    return projection


class Blur(nn.Module):
    """Each channel smoothed by the binomial filter (1, 2, 1) / 4 along both sides; borders are mirrored."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("kernel", taps.outer(taps)[None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        # Copied: several processes write buffers anew in each forward pass, maybe before this one's backward.
        kernel = self.kernel.to(x.dtype).repeat(channels, 1, 1, 1)
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), kernel, groups=channels)
