"""Real NVP: an invertible network between images and Gaussian noise (Dinh et al. 2017, arXiv:1605.08803)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

import torch
from pluglab import (
    Batch,
    Component,
    ImageSpec,
    Options,
    Progress,
    Reference,
    Role,
    TrainerBase,
    named,
    scale_lr,
)
from pydantic import Field
from torch import Tensor, nn

EDGE = 0.05  # how far values stay from 0 and 1, so that their logits stay small (section 4.1)
LOG_2PI = math.log(2 * math.pi)


class Coupling(nn.Module):
    """y = b x + (1 - b) (x exp(s(b x)) + t(b x)), eq. 9, b a checkerboard: half of the values scale and shift
    the others. Its Jacobian is triangular, so log |det| is the sum of (1 - b) s."""

    b: Tensor

    def __init__(self, shape: tuple[int, int, int], width: int, *, odd: bool) -> None:
        super().__init__()
        channels, height, width_ = shape
        board = (torch.arange(height)[:, None] + torch.arange(width_)) % 2
        self.register_buffer("b", (board == int(odd)).float()[None, None])
        layers = [nn.Conv2d(channels + 1, width, 3, padding=1), nn.ReLU()]
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        self.net = nn.Sequential(*layers, nn.Conv2d(width, 2 * channels, 3, padding=1))
        for value in self.net[-1].parameters():  # the identity at first
            nn.init.zeros_(value)
        self.scale = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x: Tensor, *, reverse: bool = False) -> tuple[Tensor, Tensor]:
        """The other side of x, N x C x H x W, and log |det| of the step from x to it, N."""
        known = torch.cat([self.b * x, self.b.expand(len(x), -1, -1, -1)], dim=1)
        raw, t = self.net(known).to(x.dtype).chunk(2, dim=1)
        s, t = (1 - self.b) * self.scale * raw.tanh(), (1 - self.b) * t
        if reverse:
            return (x - t) * (-s).exp(), -s.flatten(1).sum(1)
        return x * s.exp() + t, s.flatten(1).sum(1)


class Flow(nn.Module):
    """Couplings on checkerboards in turn, from logits of images to noise; with `reverse` the way back."""

    def __init__(self, shape: tuple[int, int, int], couplings: int, width: int) -> None:
        super().__init__()
        self.couplings = nn.ModuleList(Coupling(shape, width, odd=bool(i % 2)) for i in range(couplings))

    def forward(self, x: Tensor, *, reverse: bool = False) -> tuple[Tensor, Tensor]:
        """The other side of x, and log |det|, N."""
        total = x.new_zeros(len(x))
        for coupling in reversed(self.couplings) if reverse else self.couplings:
            x, log_det = coupling(x, reverse=reverse)
            total = total + log_det
        return x, total


def to_logits(values: Tensor) -> tuple[Tensor, Tensor]:
    """logit(e + (1 - 2 e) v) of values v in [0, 1], and log |det| of it, N (section 4.1)."""
    inner = EDGE + (1 - 2 * EDGE) * values
    slope = math.log(1 - 2 * EDGE) - inner.log() - (-inner).log1p()
    return inner.logit(), slope.flatten(1).sum(1)


def from_logits(logits: Tensor) -> Tensor:
    """Values in [0, 1]; those beyond are clipped."""
    return ((logits.sigmoid() - EDGE) / (1 - 2 * EDGE)).clamp(0, 1)


class RealNVP(TrainerBase):
    """A normalizing flow of affine couplings, trained by maximum likelihood: -log p(x) in bits a value.

    Gray levels get noise in [0, 1) added, which makes of the likelihood a lower bound (Theis et al. 2016).
    """

    class Config(Options):
        couplings: int = Field(8, ge=2)
        """Couplings; each leaves half of the values as they are."""
        width: int = Field(32, ge=1)
        """Channels of the two hidden layers of each coupling."""
        levels: int = Field(256, ge=2, le=256)
        """Gray levels of the images, evenly spaced from black to white; those of 8 x 8 digits have 17."""
        optimizer: Annotated[Component, Reference("optimizer")] = named("adam", lr=1e-3)
        """Any registered optimizer."""
        schedule: Annotated[Component, Reference("schedule")] = named("constant")
        """Any registered schedule of the rate."""

    roles = (Role("train"),)

    def __init__(self, config: Config, data: Mapping[str, ImageSpec]) -> None:
        self.shape, self.levels = data["train"].shape, config.levels
        self.flow = Flow(self.shape, config.couplings, config.width)
        self.optimizer = config.optimizer.build(self.flow.parameters())
        self.schedule = config.schedule.build()

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        scale_lr(self.optimizer, progress.at(self.schedule))
        images = batch["train"].images
        bits = -self._log_prob(images, torch.rand_like(images)).mean() / (images[0].numel() * math.log(2))
        self.update(self.optimizer, bits)
        return {"loss/bits_per_dim": bits.detach()}

    def log_prob(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """log P of the gray levels of images in [-1, 1], nats, N; the noise comes from the generator."""
        noise = torch.rand(images.shape, generator=generator, device=images.device)
        return self._log_prob(images, noise)

    def _log_prob(self, images: Tensor, noise: Tensor) -> Tensor:
        level = (images.float() + 1).mul((self.levels - 1) / 2).round()
        x, log_det = to_logits((level + noise) / self.levels)
        z, more = self.flow(x)
        gaussian = -0.5 * (z.square() + LOG_2PI).flatten(1).sum(1)
        total: Tensor = gaussian + log_det + more
        return total - images[0].numel() * math.log(self.levels)

    def latents(self, n: int, generator: torch.Generator) -> Tensor:
        """n standard normal ones, of the images' shape."""
        return torch.randn(n, *self.shape, generator=generator, device=generator.device)

    def generate(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Their images in [-1, 1], each value one of the gray levels."""
        values = from_logits(self.flow(latents, reverse=True)[0])
        return (values * self.levels).floor().clamp(max=self.levels - 1) * 2 / (self.levels - 1) - 1

    def sample(self, n: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
        return self.generate(self.latents(n, generator), labels)
