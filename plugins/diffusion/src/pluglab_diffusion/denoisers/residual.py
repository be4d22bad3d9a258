"""The residual U-Net of one report, after zoubohao's public classifier-free guidance."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from pluglab.components import Options
from pluglab.protocols import ImageSpec
from pluglab.training.attention import attend
from pluglab.training.convolutions import ConvTranspose2d
from pluglab.training.group_norm import GroupNorm
from pluglab_diffusion.denoisers.base import ClassEmbedding, check_size, sinusoids

GROUPS = 32


class ResidualUNet(nn.Module):
    """128 channels times 1-2-2; residual blocks that take time and class, with attention on the way down.

    Times are a table of T learned rows that starts as sinusoids. Every block's output on the way down is a
    skip, as in Ho et al. 2020.
    """

    class Config(Options):
        channels: int = Field(128, ge=32, multiple_of=32)
        """Channels at full resolution."""
        multipliers: tuple[Annotated[int, Field(ge=1)], ...] = Field((1, 2, 2), min_length=1)
        """Channels of each level, as multiples; each level halves the height and width."""
        blocks: int = Field(2, ge=1)
        """Residual blocks a level on the way down; one more on the way up."""
        dropout: float = Field(0.15, ge=0, lt=1)
        """Dropout in the residual blocks."""

    def __init__(self, config: Config, spec: ImageSpec, num_classes: int, timesteps: int) -> None:
        super().__init__()
        widths = [config.channels * m for m in config.multipliers]
        check_size(spec, 2 ** (len(widths) - 1), "residual", "or fewer `multipliers` of the denoiser")
        base, emb, drop = config.channels, 4 * config.channels, config.dropout
        self.time = nn.Sequential(TimeTable(timesteps, base), *_perceptron(base, emb))
        embed = ClassEmbedding(num_classes, base)
        self.classes = nn.Sequential(embed, *_perceptron(base, emb)) if num_classes else None
        self.stem = nn.Conv2d(spec.channels, base, 3, padding=1)

        def block(inputs: int, outputs: int, *, attention: bool = False) -> Block:
            return Block(inputs, outputs, emb, drop, classes=num_classes > 0, attention=attention)

        self.down, skips = nn.ModuleList(), [base]
        for level, (before, width) in enumerate(pairwise([base, *widths])):
            for i in range(config.blocks):
                self.down.append(block(width if i else before, width, attention=True))
            last = level == len(widths) - 1
            self.down.extend([] if last else [Downsample(width)])
            skips += [width] * (config.blocks if last else config.blocks + 1)
        self.middle = nn.ModuleList([block(width, width, attention=True), block(width, width)])
        self.up = nn.ModuleList()
        for level, outputs in reversed(list(enumerate(widths))):
            for _ in range(config.blocks + 1):
                self.up.append(block(width + skips.pop(), outputs))
                width = outputs
            self.up.extend([Upsample(width)] if level else [])
        self.out = nn.Sequential(*_normed(width), nn.Conv2d(width, spec.channels, 3, padding=1))

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        emb = self.time(t), None if self.classes is None else self.classes(labels)
        h = self.stem(x)
        skips = [h]
        for layer in self.down:
            h = layer(h, *emb)
            skips.append(h)
        for layer in self.middle:
            h = layer(h, *emb)
        for layer in self.up:
            h = layer(torch.cat([h, skips.pop()], dim=1) if isinstance(layer, Block) else h, *emb)
        return self.out(h)


class TimeTable(nn.Module):
    """t N to N x width: a learned row a level; times between two levels have the nearest."""

    def __init__(self, timesteps: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding.from_pretrained(sinusoids(torch.arange(timesteps), width), freeze=False)

    def forward(self, t: Tensor) -> Tensor:
        return self.table(t.round().long().clamp(0, self.table.num_embeddings - 1))


class Block(nn.Module):
    """Two convolutions, time and class added between them, a shortcut, and attention where asked for."""

    def __init__(
        self, inputs: int, outputs: int, emb: int, dropout: float, *, classes: bool, attention: bool
    ) -> None:
        super().__init__()
        self.first = nn.Sequential(*_normed(inputs), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.time = nn.Sequential(nn.SiLU(), nn.Linear(emb, outputs))
        self.classes = nn.Sequential(nn.SiLU(), nn.Linear(emb, outputs)) if classes else None
        last = nn.Dropout(dropout), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.second = nn.Sequential(*_normed(outputs), *last)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.attention = Attention(outputs) if attention else nn.Identity()

    def forward(self, x: Tensor, time: Tensor, label: Tensor | None) -> Tensor:
        shift = self.time(time)
        if self.classes is not None:
            shift = shift + self.classes(label)
        h = self.second(self.first(x) + shift[:, :, None, None])
        return self.attention(h + self.shortcut(x))


class Attention(nn.Module):
    """Residual self-attention over positions with one head."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = GroupNorm(GROUPS, channels)
        self.query, self.key, self.value, self.out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        rows = (layer(h).flatten(2).transpose(1, 2) for layer in (self.query, self.key, self.value))
        return x + self.out(attend(*rows).transpose(1, 2).reshape(x.shape))


class Downsample(nn.Module):
    """Half the size: the sum of a 3x3 and a 5x5 convolution of stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.small = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.large = nn.Conv2d(channels, channels, 5, stride=2, padding=2)

    def forward(self, x: Tensor, time: Tensor, label: Tensor | None) -> Tensor:
        return self.small(x) + self.large(x)


class Upsample(nn.Module):
    """Twice the size: a 5x5 transposed convolution of stride 2, then a 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.grow = ConvTranspose2d(channels, channels, 5, stride=2, padding=2, output_padding=1)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, time: Tensor, label: Tensor | None) -> Tensor:
        return self.conv(self.grow(x))


def _perceptron(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Linear(inputs, outputs), nn.SiLU(), nn.Linear(outputs, outputs)


def _normed(channels: int) -> tuple[nn.Module, ...]:
    return GroupNorm(GROUPS, channels), nn.SiLU()
