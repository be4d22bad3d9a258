"""The networks of StyleGAN2-lite: Karras et al. 2020 (arXiv:1912.04958) in the layout of lucidrains.

Widths are multiples of `width`. At size 64 D's blocks have 1, 2, 4, 8, 8 and 8 times as many channels. G's
have 8, 8, 4, 2 and 1 times as inputs, and 8, 4, 2, 1 and 1/2 as outputs. A width of 64 gives the printed
networks, which lucidrains calls a capacity of 16.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from typing import Literal, cast

import torch
from torch import Tensor, nn

from pluglab.training.convolutions import ConvTranspose2d
from pluglab_gan.latents import Distribution, drawn
from pluglab_gan.linear_attention import AttentionBlock
from pluglab_gan.minibatch import MinibatchDeviation
from pluglab_gan.modulated import GAIN, SLOPE, Blur, EqualLinear, StyleLayer, ToImage, activate, double_size

Start = Literal["constant", "style"]
MEAN_RATE = 0.002  # of the running mean of w (Karras et al. 2020, official code)


class Mapping(nn.Module):
    """z to w, both N x size: unit mean square, then `depth` linear layers at a slower rate.

    `mean` is the running mean of w over training batches, the center of truncation. Until 1 / MEAN_RATE
    batches it is the plain mean of them all. Computed in float32: w decides about every layer.
    """

    mean: Tensor
    batches: Tensor

    def __init__(self, size: int, depth: int, lr_multiplier: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EqualLinear(size, size, lr_multiplier) for _ in range(depth))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def forward(self, z: Tensor) -> Tensor:
        with torch.autocast(z.device.type, enabled=False):
            z = z.to(self.mean.dtype)
            w = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
            for layer in self.layers:
                w = activate(layer(w))
        if self.training:
            self._follow(w.detach().mean(0))
        return w

    def _follow(self, mean: Tensor) -> None:
        self.batches += 1
        self.mean.lerp_(mean, self.batches.reciprocal().clamp(min=MEAN_RATE))

    def truncated(self, w: Tensor, psi: float) -> Tensor:
        """mean + psi (w - mean): 1 changes nothing, 0 leaves the mean (Karras et al. 2019, appendix B)."""
        return self.mean.lerp(w, psi)


class GeneratorBlock(nn.Module):
    """Two style layers after attention and doubling, and what they add to the image at this size."""

    def __init__(
        self, style_size: int, inputs: int, outputs: int, channels: int, *, doubles: bool, heads: int
    ) -> None:
        super().__init__()
        self.doubles = doubles
        self.attention = AttentionBlock(inputs, heads) if heads else nn.Identity()
        self.first = StyleLayer(style_size, inputs, outputs)
        self.second = StyleLayer(style_size, outputs, outputs)
        self.to_image = ToImage(style_size, outputs, channels)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        x = self.attention(x)
        x = double_size(x) if self.doubles else x
        x = self.second(self.first(x, w, noise[:, :1]), w, noise[:, 1:])
        return x, self.to_image(x, w)


class Synthesis(nn.Module):
    """Styles N x blocks x style_size to images N x channels x size x size, of no fixed range.

    The start of 4 x 4 is a learned constant, or made from the mean style by a transposed convolution.
    `heads` of attention come before the last block.
    """

    def __init__(
        self, size: int, channels: int, style_size: int, width: int, start: Start, heads: int
    ) -> None:
        super().__init__()
        count = size.bit_length() - 2
        widths = [min(8 * width, width * 2**i // 2) for i in reversed(range(count))]
        widths = [widths[0], *widths]
        self.start = Constant(widths[0]) if start == "constant" else FromStyle(style_size, widths[0])
        self.first = convolution(widths[0], widths[0], 3)
        self.blocks = nn.ModuleList(
            GeneratorBlock(style_size, a, b, channels, doubles=i > 0, heads=heads if i == count - 1 else 0)
            for i, (a, b) in enumerate(pairwise(widths))
        )
        self.blur = Blur()

    def forward(self, styles: Tensor, noise: Sequence[Tensor]) -> Tensor:
        x = self.first(self.start(styles)).expand(styles.shape[0], -1, -1, -1)
        parts = []
        for block, w, own in zip(self.blocks, styles.unbind(1), noise, strict=True):
            x, part = block(x, w, own)
            parts.append(part)
        return reduce(self.add, parts)

    def add(self, image: Tensor, part: Tensor) -> Tensor:
        """The image so far, doubled in size and blurred, and what the next block adds to it."""
        return self.blur(double_size(image)) + part


class Constant(nn.Module):
    """The learned 4 x 4 start, 1 x C x 4 x 4: what follows is computed once for the whole batch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.randn(1, width, 4, 4))

    def forward(self, styles: Tensor) -> Tensor:
        return self.value


class FromStyle(nn.Module):
    """The 4 x 4 start as a transposed convolution of the mean style, N x C x 4 x 4."""

    def __init__(self, style_size: int, width: int) -> None:
        super().__init__()
        self.expand = ConvTranspose2d(style_size, width, 4, bias=False)

    def forward(self, styles: Tensor) -> Tensor:
        return self.expand(styles.mean(1)[..., None, None])


class Generator(nn.Module):
    """Latents N x Z to images N x channels x size x size; in training some images mix styles of two latents.

    Random numbers that are not given come from torch's global generator; second latents are distributed as
    `latents` says.
    """

    def __init__(
        self, mapping: Mapping, synthesis: Synthesis, mixing: float, latents: Distribution = "normal"
    ) -> None:
        super().__init__()
        self.mapping, self.synthesis, self.mixing, self.latents = mapping, synthesis, mixing, latents

    def forward(
        self, z: Tensor, shift: Tensor | None = None, noise: Sequence[Tensor] | None = None, psi: float = 1.0
    ) -> Tensor:
        """`shift`, N x blocks x Z, is added to the styles: a gradient with respect to it is one with respect
        to them. `noise`: as `draw_noise` makes it, for each image or one for all. `psi`: see `truncated`."""
        styles = self.mixed(z) if self.training and self.mixing else self.repeated(self.mapping(z))
        styles = styles if psi == 1 else self.mapping.truncated(styles, psi)
        styles = styles if shift is None else styles + shift
        if noise is None:
            noise = draw_noise(len(z), len(self.synthesis.blocks), z.device)
        return self.synthesis(styles, noise)

    def repeated(self, w: Tensor) -> Tensor:
        """The same w for every block, N x blocks x Z."""
        return w[:, None].expand(-1, len(self.synthesis.blocks), -1)

    def mixed(self, z: Tensor) -> Tensor:
        """Styles of which a share of `mixing` images take those of a second latent, from a random block on
        (Karras et al. 2019, section 3.1)."""
        n, blocks = len(z), len(self.synthesis.blocks)
        second = drawn(self.latents, torch.empty_like(z))
        own, other = map(self.repeated, self.mapping(torch.cat([z, second])).chunk(2))
        crossover = torch.randint(1, blocks, (n, 1, 1), device=z.device)
        mixes = torch.rand(n, 1, 1, device=z.device) < self.mixing
        late = torch.arange(blocks, device=z.device)[:, None] >= crossover
        return torch.where(mixes & late, other, own)


def draw_noise(
    n: int, blocks: int, device: torch.device, generator: torch.Generator | None = None
) -> list[Tensor]:
    """Standard normal noise, a channel for each style layer of a block: n x 2 x 4 x 4, then doubling."""
    sides = [4 * 2**i for i in range(blocks)]
    if generator is None:  # the compiler fails on an argument of None
        return [torch.randn(n, 2, side, side, device=device) for side in sides]
    return [torch.randn(n, 2, side, side, generator=generator, device=device) for side in sides]


def convolution(inputs: int, outputs: int, kernel: int, *, stride: int = 1, gain: float = 1.0) -> nn.Conv2d:
    """Padded to keep the size. Weights that keep the mean square, times `gain`, and no bias at the start."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)
    nn.init.normal_(layer.weight, std=gain / math.sqrt(inputs * kernel**2))
    nn.init.zeros_(cast(nn.Parameter, layer.bias))
    return layer


class DiscriminatorBlock(nn.Module):
    """Two 3 x 3 convolutions beside a 1 x 1 one; to halve the size, the main path is blurred first."""

    def __init__(self, inputs: int, outputs: int, *, halve: bool) -> None:
        super().__init__()
        self.stride = 2 if halve else 1
        self.shortcut = convolution(inputs, outputs, 1)
        self.main = nn.Sequential(
            convolution(inputs, outputs, 3, gain=GAIN),
            nn.LeakyReLU(SLOPE, True),
            convolution(outputs, outputs, 3, gain=GAIN),
            nn.LeakyReLU(SLOPE, True),
        )
        if halve:
            self.main.extend([Blur(), convolution(outputs, outputs, 3, stride=2)])

    def forward(self, x: Tensor) -> Tensor:
        # A 1 x 1 convolution of stride 2 reads just these pixels. Written as one, its backward pass for 3
        # channels in float32 and channels_last writes beyond its memory (torch 2.15, oneDNN on AVX-512).
        kept = x[..., :: self.stride, :: self.stride]
        return (self.main(x) + self.shortcut(kept)).mul_(math.sqrt(0.5))


class Discriminator(nn.Sequential):
    """Images N x channels x size x size to scores N. `heads` of attention follow the first block; the last
    convolution also sees the deviation over groups of `group` images, if that is not 0."""

    def __init__(self, size: int, channels: int, width: int, heads: int, group: int = 0) -> None:
        count = size.bit_length() - 1
        widths = [channels, *(min(8, 2**i) * width for i in range(count))]
        blocks: list[nn.Module] = [
            DiscriminatorBlock(a, b, halve=i < count - 1) for i, (a, b) in enumerate(pairwise(widths))
        ]
        if heads:
            blocks.insert(1, AttentionBlock(widths[1], heads))
        if group:
            blocks.append(MinibatchDeviation(group))
        last = convolution(widths[-1] + bool(group), widths[-1], 3)
        super().__init__(*blocks, last, nn.Flatten(), nn.Linear(4 * widths[-1], 1), nn.Flatten(0))
