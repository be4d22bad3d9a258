"""A transformer over patches of the image (DiT, Peebles and Xie 2023, arXiv:2212.09748)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from pluglab.components import Options
from pluglab.protocols import ImageSpec
from pluglab.training.attention import attend
from pluglab_diffusion.denoisers.base import ClassEmbedding, check_size, sinusoids

FREQUENCIES = 256  # width of the sinusoids of t


class DiT(nn.Module):
    """Patches as tokens with fixed positions; blocks of attention and perceptron, in which time and class
    scale, shift and gate (adaLN-Zero, figure 3); every block is the identity at first, and the output zero.

    Width 384, depth 12, 6 heads and patch 2 make DiT-S/2.
    """

    class Config(Options):
        patch: int = Field(4, ge=1)
        """Pixels a side of a token; half of it makes four times the work."""
        width: int = Field(192, ge=16, multiple_of=4)
        """Numbers a token."""
        depth: int = Field(6, ge=1)
        """Blocks."""
        heads: int = Field(3, ge=1)
        """Heads of each attention; they divide `width`."""
        mlp_ratio: float = Field(4.0, gt=0)
        """Width of the perceptrons, as a multiple of `width`."""

        @model_validator(mode="after")
        def _whole_heads(self) -> DiT.Config:
            if self.width % self.heads:
                raise ValueError(f"should have `heads` that divide its `width` of {self.width}")
            return self

    def __init__(self, config: Config, spec: ImageSpec, num_classes: int, timesteps: int) -> None:
        super().__init__()
        width, self.patch = config.width, config.patch
        check_size(spec, config.patch, "dit", "or another `patch` of the denoiser")
        self.scale, values = 1000 / timesteps, spec.channels * config.patch**2  # the same inputs for every T
        self.tokens = nn.Linear(values, width)
        places = positions(spec.height // config.patch, spec.width // config.patch, width)
        self.register_buffer("positions", places, persistent=False)
        self.time = nn.Sequential(nn.Linear(FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))
        self.classes = ClassEmbedding(num_classes, width) if num_classes else None
        self.blocks = nn.ModuleList(Block(width, config.heads, config.mlp_ratio) for _ in range(config.depth))
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.modulation, self.out = nn.Linear(width, 2 * width), nn.Linear(width, values)
        self._initialize()

    def _initialize(self) -> None:
        """Xavier, normal of 0.02 for what embeds time and class, and zero for what must be the identity, as
        in the paper's code."""
        layers = [module for module in self.modules() if isinstance(module, nn.Linear)]
        for layer in layers:
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        embedding = [layer.weight for layer in self.time if isinstance(layer, nn.Linear)]
        embedding += [] if self.classes is None else [self.classes.table.weight]
        for weight in embedding:
            nn.init.normal_(weight, std=0.02)
        gates = [module.modulation.weight for module in self.modules() if isinstance(module, Block)]
        for weight in (self.modulation.weight, self.out.weight, *gates):
            nn.init.zeros_(weight)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        height = x.shape[2] // self.patch
        rows = F.pixel_unshuffle(x, self.patch).flatten(2).transpose(1, 2)
        h = self.tokens(rows) + self.positions
        emb = self.time(sinusoids(t * self.scale, FREQUENCIES))
        emb = F.silu(emb if self.classes is None else emb + self.classes(labels))
        for block in self.blocks:
            h = block(h, emb)
        out = self.out(modulated(self.norm(h), *self.modulation(emb).chunk(2, dim=1)))
        return F.pixel_shuffle(out.transpose(1, 2).unflatten(2, (height, -1)), self.patch)


class Block(nn.Module):
    """Attention, then a perceptron, each scaled, shifted and gated by time and class."""

    def __init__(self, width: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.norm, self.heads = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False), heads
        self.modulation = nn.Linear(width, 6 * width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        hidden = int(width * mlp_ratio)
        self.mlp = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(approximate="tanh"), nn.Linear(hidden, width)
        )

    def forward(self, h: Tensor, emb: Tensor) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(emb).chunk(6, dim=1)
        h = h + gate1[:, None] * self.attention(modulated(self.norm(h), shift1, scale1))
        return h + gate2[:, None] * self.mlp(modulated(self.norm(h), shift2, scale2))

    def attention(self, h: Tensor) -> Tensor:
        """Over tokens, N x tokens x width; a head is an item of a larger batch."""
        split = self.qkv(h).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = attend(*(part.flatten(0, 1) for part in split))
        return self.proj(mixed.unflatten(0, (len(h), self.heads)).transpose(1, 2).flatten(2))


def modulated(h: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """(1 + scale) h + shift; h is N x tokens x width, the others N x width."""
    return torch.addcmul(shift[:, None], h, 1 + scale[:, None])


def positions(height: int, width: int, size: int) -> Tensor:
    """Sines and cosines of each token's column, then of its row: float height * width x size."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.cat([sinusoids(columns.flatten(), size // 2), sinusoids(rows.flatten(), size // 2)], dim=1)
