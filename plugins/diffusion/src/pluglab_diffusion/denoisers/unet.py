"""The default denoiser: a small U-Net whose work lies mostly below full resolution."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from pluglab.components import Options
from pluglab.protocols import ImageSpec
from pluglab_diffusion.denoisers.base import ClassEmbedding, check_size, sinusoids

Width = Annotated[int, Field(ge=8, multiple_of=8)]
EMBEDDING = 256  # width of the embedding of time and class


class UNet(nn.Module):
    """Residual blocks at several resolutions, in which time and class scale and shift the normalized features
    (Dhariwal and Nichol 2021, arXiv:2105.05233, eq. 3).

    Full resolution, where a layer is dearest, has few channels and one block. A level has as many blocks on
    the way up as on the way down; the first of those up also sees the result of those down.
    """

    class Config(Options):
        channels: tuple[Width, ...] = Field((32, 64, 128), min_length=1)
        """Channels of each level; each halves the height and width of the one before."""
        blocks: tuple[Annotated[int, Field(ge=1)], ...] = Field((1, 1, 1), min_length=1)
        """Residual blocks of each level on the way down, and again on the way up."""
        patch: int = Field(1, ge=1)
        """Squares of so many pixels a side become channels first, for large images: no layer then works at
        full resolution (Hoogeboom et al. 2023, arXiv:2301.11093)."""
        dropout: float = Field(0.0, ge=0, lt=1)
        """Dropout in the residual blocks."""

        @model_validator(mode="after")
        def _one_number_a_level(self) -> UNet.Config:
            if len(self.blocks) != len(self.channels):
                raise ValueError(
                    f"should have {len(self.channels)} `blocks`, one number for each of `channels`"
                )
            return self

    def __init__(self, config: Config, spec: ImageSpec, num_classes: int, timesteps: int) -> None:
        super().__init__()
        widths, patch = config.channels, config.patch
        check_size(spec, patch * 2 ** (len(widths) - 1), "unet", "or fewer `channels` of the denoiser")
        self.patch, self.embedding = patch, Embedding(num_classes, timesteps, EMBEDDING)
        levels = list(zip(widths, config.blocks, strict=True))
        self.stem = nn.Conv2d(spec.channels * patch**2, widths[0], 3, padding=1)
        self.down = nn.ModuleList(Level(w, w, n, config.dropout) for w, n in levels)
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.middle = Block(widths[-1], widths[-1], config.dropout)
        self.up = nn.ModuleList(Level(2 * w, w, n, config.dropout) for w, n in reversed(levels))
        self.grow = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in reversed(list(pairwise(widths))))
        self.norm = norm(widths[0])
        self.out = nn.Conv2d(widths[0], spec.channels * patch**2, 3, padding=1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        emb = self.embedding(t, labels)
        h = self.stem(F.pixel_unshuffle(x, self.patch) if self.patch > 1 else x)
        skips = []
        for i, level in enumerate(self.down):
            h = level(self.shrink[i - 1](h) if i else h, emb)
            skips.append(h)
        h = self.middle(h, emb)
        for i, level in enumerate(self.up):
            h = F.pixel_shuffle(self.grow[i - 1](h), 2) if i else h
            h = level(torch.cat([h, skips.pop()], dim=1), emb)
        out = self.out(F.silu(self.norm(h)))
        return F.pixel_shuffle(out, self.patch) if self.patch > 1 else out


class Embedding(nn.Module):
    """Time and class to N x width: a perceptron of sinusoids of t, plus a learned row a class."""

    def __init__(self, num_classes: int, timesteps: int, width: int) -> None:
        super().__init__()
        self.width, self.scale = width, 1000 / timesteps  # the same inputs for every T
        self.time = nn.Sequential(nn.Linear(width // 4, width), nn.SiLU(), nn.Linear(width, width))
        self.classes = ClassEmbedding(num_classes, width) if num_classes else None

    def forward(self, t: Tensor, labels: Tensor) -> Tensor:
        emb = self.time(sinusoids(t * self.scale, self.width // 4))
        return F.silu(emb if self.classes is None else emb + self.classes(labels))


class Level(nn.Module):
    """Residual blocks at one resolution; the first may change the number of channels."""

    def __init__(self, inputs: int, outputs: int, blocks: int, dropout: float) -> None:
        super().__init__()
        widths = [inputs] + [outputs] * blocks
        self.blocks = nn.ModuleList(Block(a, b, dropout) for a, b in pairwise(widths))

    def forward(self, h: Tensor, emb: Tensor) -> Tensor:
        for block in self.blocks:
            h = block(h, emb)
        return h


class Block(nn.Module):
    """x + conv(silu(scale norm(conv(silu(norm(x)))) + shift)); at first the identity."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.conv1 = norm(inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.modulation = nn.Linear(EMBEDDING, 2 * outputs)
        self.norm2, self.dropout = norm(outputs), nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        scale, shift = self.modulation(emb)[:, :, None, None].chunk(2, dim=1)
        h = self.conv1(F.silu(self.norm1(x)))
        h = torch.addcmul(shift, self.norm2(h), 1 + scale)
        return self.shortcut(x) + self.conv2(self.dropout(F.silu(h)))


def norm(channels: int) -> nn.GroupNorm:
    """Group norm of about 32 channels a group: a CPU works through small groups several times more slowly."""
    return nn.GroupNorm(math.gcd(max(1, channels // 32), channels), channels)
