"""The double-conv U-Net: a layout that two reports use, after T. Capelle's public diffusion models."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pluglab.components import Options
from pluglab.protocols import ImageSpec
from pluglab.training.attention import attend, written_out
from pluglab_diffusion.denoisers import NO_CLASS
from pluglab_diffusion.denoisers.base import sinusoids


class DoubleConvUNet(nn.Module):
    """64-128-256-256 channels, a bottleneck of 512-512-256 and the mirrored way up; after each change of size
    the sum of time and class embedding is added, and multi-head attention follows.

    Maximum pooling halves, rounding down; bilinear upsampling returns to the skip's own size.
    """

    class Config(Options):
        embedding: int = Field(256, ge=2, multiple_of=2)
        """Width of the embedding of time and class."""
        heads: int = Field(4, ge=1)
        """Heads of each attention."""

    def __init__(self, config: Config, spec: ImageSpec, num_classes: int, timesteps: int) -> None:
        super().__init__()
        large = min(spec.height, spec.width) >= 8
        spec.require(large, "denoiser 'double_conv'", "8 pixels or more, for it halves them three times")
        self.width = config.embedding
        self.classes = nn.Embedding(num_classes, config.embedding) if num_classes else None
        self.stem = DoubleConv(spec.channels, 64)
        sizes = (64, 128), (128, 256), (256, 256)
        self.down = nn.ModuleList(Down(a, b, config.embedding) for a, b in sizes)
        self.down_attention = nn.ModuleList(Attention(b, config.heads) for _, b in sizes)
        self.bottleneck = nn.Sequential(DoubleConv(256, 512), DoubleConv(512, 512), DoubleConv(512, 256))
        sizes = (512, 128), (256, 64), (128, 64)
        self.up = nn.ModuleList(Up(a, b, config.embedding) for a, b in sizes)
        self.up_attention = nn.ModuleList(Attention(b, config.heads) for _, b in sizes)
        self.out = nn.Conv2d(64, spec.channels, 1)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        emb = sinusoids(t, self.width)
        if self.classes is not None:
            emb = emb + self.classes(labels.clamp(min=0)) * (labels != NO_CLASS)[:, None]
        h = self.stem(x)
        skips = []
        for down, attention in zip(self.down, self.down_attention, strict=True):
            skips.append(h)
            h = attention(down(h, emb))
        h = self.bottleneck(h)
        for up, attention in zip(self.up, self.up_attention, strict=True):
            h = attention(up(h, skips.pop(), emb))
        return self.out(h)


class DoubleConv(nn.Module):
    """Twice a 3x3 convolution and a norm of one group, GELU between; `residual`: then GELU of x + this."""

    def __init__(self, inputs: int, outputs: int, middle: int = 0, *, residual: bool = False) -> None:
        super().__init__()
        self.residual, middle = residual, middle or outputs
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, middle, 3, padding=1, bias=False),
            nn.GroupNorm(1, middle),
            nn.GELU(),
            nn.Conv2d(middle, outputs, 3, padding=1, bias=False),
            nn.GroupNorm(1, outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x + self.layers(x)) if self.residual else self.layers(x)


class Down(nn.Module):
    """Half the size; then the embedding is added."""

    def __init__(self, inputs: int, outputs: int, emb: int) -> None:
        super().__init__()
        convs = DoubleConv(inputs, inputs, residual=True), DoubleConv(inputs, outputs)
        self.convs = nn.Sequential(nn.MaxPool2d(2), *convs)
        self.embed = nn.Sequential(nn.SiLU(), nn.Linear(emb, outputs))

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        return self.convs(x) + self.embed(emb)[:, :, None, None]


class Up(nn.Module):
    """The skip's size, the skip beside it; then the embedding is added."""

    def __init__(self, inputs: int, outputs: int, emb: int) -> None:
        super().__init__()
        convs = DoubleConv(inputs, inputs, residual=True), DoubleConv(inputs, outputs, inputs // 2)
        self.convs = nn.Sequential(*convs)
        self.embed = nn.Sequential(nn.SiLU(), nn.Linear(emb, outputs))

    def forward(self, x: Tensor, skip: Tensor, emb: Tensor) -> Tensor:
        x = F.interpolate(x, size=skip.shape[2:], mode="bilinear", align_corners=True)
        return self.convs(torch.cat([skip, x], dim=1)) + self.embed(emb)[:, :, None, None]


class Attention(nn.Module):
    """Multi-head self-attention over positions, then a perceptron; each normalized first, each residual."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.attention = SelfAttention(channels, heads)
        self.mlp = nn.Sequential(
            nn.LayerNorm(channels), nn.Linear(channels, channels), nn.GELU(), nn.Linear(channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(2).transpose(1, 2)
        rows = rows + self.attention(self.norm(rows))
        rows = rows + self.mlp(rows)
        return rows.transpose(1, 2).reshape(x.shape)


class SelfAttention(nn.MultiheadAttention):
    """Torch's, of N x L x C rows to themselves, equal but for rounding.

    On a CPU torch takes a fused kernel for it, whose gradient takes twice as long as that of plain products.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__(channels, heads, batch_first=True)

    def forward(self, rows: Tensor) -> Tensor:  # type: ignore[override]
        """N x L x C to N x L x C."""
        n, length, channels = rows.shape
        if not written_out(rows, n * self.num_heads * length**2):
            return super().forward(rows, rows, rows, need_weights=False)[0]
        parts = F.linear(rows, self.in_proj_weight, self.in_proj_bias)
        heads = parts.view(n, length, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        found = attend(*heads.reshape(3, n * self.num_heads, length, self.head_dim))
        joined = found.view(n, self.num_heads, length, self.head_dim).transpose(1, 2)
        joined = joined.reshape(n, length, channels)
        return F.linear(joined, self.out_proj.weight, self.out_proj.bias)
