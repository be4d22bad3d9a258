"""The default denoiser: a small U-Net whose work lies below full resolution."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pluglab.components import Options
from pluglab.protocols import ImageSpec
from pluglab_diffusion.denoisers.base import ClassEmbedding, check_size, sinusoids

Width = Annotated[int, Field(ge=8, multiple_of=8)]


class UNet(nn.Module):
    """Squares of `patch` x `patch` pixels become channels, so that no layer works at full resolution
    (Hoogeboom et al. 2023, arXiv:2301.11093); then a U-Net of residual blocks, in which time and class scale
    and shift the normalised features (Dhariwal and Nichol 2021, arXiv:2105.05233, eq. 3).

    A level has as many blocks on the way up as on the way down; the first of those up sees both.
    """

    class Config(Options):
        channels: tuple[Width, ...] = Field((128, 192), min_length=1)
        """Channels of each level; each halves the height and width of the one before."""
        blocks: int = Field(2, ge=1)
        """Residual blocks of each level on the way down, and again on the way up."""
        patch: int = Field(2, ge=1)
        """Side of the squares that become channels; 1 for images of 16 pixels and fewer."""
        dropout: float = Field(0.0, ge=0, lt=1)
        """Dropout in the residual blocks."""

    def __init__(self, config: Config, spec: ImageSpec, num_classes: int, timesteps: int) -> None:
        super().__init__()
        widths, patch = config.channels, config.patch
        smaller = "or fewer `channels` or a smaller `patch` of the denoiser"
        check_size(spec, patch * 2 ** (len(widths) - 1), "unet", smaller)
        self.embedding = Embedding(num_classes, timesteps, 256)
        emb, drop = self.embedding.width, config.dropout
        self.patch = patch
        self.stem = nn.Conv2d(spec.channels * patch**2, widths[0], 3, padding=1)
        self.down = nn.ModuleList(Level(w, w, config.blocks, emb, drop) for w in widths)
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.middle = Block(widths[-1], widths[-1], emb, drop)
        self.up = nn.ModuleList(Level(2 * w, w, config.blocks, emb, drop) for w in reversed(widths))
        self.grow = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in reversed(list(pairwise(widths))))
        self.norm = norm(widths[0])
        self.out = nn.Conv2d(widths[0], spec.channels * patch**2, 3, padding=1)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        emb = self.embedding(t, labels)
        h = self.stem(F.pixel_unshuffle(x, self.patch))
        skips = []
        for i, level in enumerate(self.down):
            h = level(self.shrink[i - 1](h) if i else h, emb)
            skips.append(h)
        h = self.middle(h, emb)
        for i, level in enumerate(self.up):
            h = F.pixel_shuffle(self.grow[i - 1](h), 2) if i else h
            h = level(torch.cat([h, skips.pop()], dim=1), emb)
        return F.pixel_shuffle(self.out(F.silu(self.norm(h))), self.patch)


class Embedding(nn.Module):
    """Time and class to N x width: a perceptron of sinusoids of t, plus a learned row a class."""

    def __init__(self, num_classes: int, timesteps: int, width: int) -> None:
        super().__init__()
        self.width, self.scale = width, 1000 / timesteps
        self.time = nn.Sequential(nn.Linear(width // 4, width), nn.SiLU(), nn.Linear(width, width))
        self.classes = ClassEmbedding(num_classes, width) if num_classes else None

    def forward(self, t: Tensor, labels: Tensor) -> Tensor:
        emb = self.time(sinusoids(t * self.scale, self.width // 4))
        return F.silu(emb if self.classes is None else emb + self.classes(labels))


class Level(nn.Module):
    """Residual blocks at one resolution; the first may change the number of channels."""

    def __init__(self, inputs: int, outputs: int, blocks: int, emb: int, dropout: float) -> None:
        super().__init__()
        widths = [inputs] + [outputs] * blocks
        self.blocks = nn.ModuleList(Block(a, b, emb, dropout) for a, b in pairwise(widths))

    def forward(self, h: Tensor, emb: Tensor) -> Tensor:
        for block in self.blocks:
            h = block(h, emb)
        return h


class Block(nn.Module):
    """x + conv(silu(scale norm(conv(silu(norm(x)))) + shift)); at first the identity."""

    def __init__(self, inputs: int, outputs: int, emb: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.conv1 = norm(inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.modulation = nn.Linear(emb, 2 * outputs)
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
    """Group norm with 8 channels or more a group."""
    return nn.GroupNorm(max(1, channels // 32), channels)
