"""Class-conditional diffusion, with the U-Nets of tcapelle/Diffusion-Models-pytorch and zoubohao."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import Loop


class Diffusion(Loop):
    """Noise prediction, linear betas, AdamW, EMA in a loop over the parameters."""

    size, batch, timesteps = 28, 32, 1000
    keep = 0.995

    def prepare(self) -> None:
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=3e-4)
        betas = torch.linspace(1e-4, 0.02, self.timesteps, device=self.device)
        self.alpha_hat = torch.cumprod(1 - betas, dim=0)
        self._average = [copy.deepcopy(self.network).eval().requires_grad_(False)]  # not a network to train

    network: nn.Module

    def step(self) -> Tensor:
        images, labels = next(self.batches)
        t = torch.randint(1, self.timesteps, (len(images),), device=self.device)
        share, noise = self.alpha_hat[t][:, None, None, None], torch.randn_like(images)
        x = share.sqrt() * images + (1 - share).sqrt() * noise
        loss = F.mse_loss(self.network(x, t, self.shown(labels)), noise)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        for old, new in zip(self._average[0].parameters(), self.network.parameters(), strict=True):
            old.data = old.data * self.keep + (1 - self.keep) * new.data
        return loss.detach()

    def shown(self, labels: Tensor) -> Tensor:
        return labels


def positions(t: Tensor, width: int) -> Tensor:
    rates = 1.0 / (10000 ** (torch.arange(0, width, 2, device=t.device).float() / width))
    angles = t[:, None].float().repeat(1, width // 2) * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class SelfAttention(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mha = nn.MultiheadAttention(channels, 4, batch_first=True)
        self.ln = nn.LayerNorm([channels])
        self.ff = nn.Sequential(
            nn.LayerNorm([channels]), nn.Linear(channels, channels), nn.GELU(), nn.Linear(channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        x = x.view(n, c, h * w).swapaxes(1, 2)
        normed = self.ln(x)
        x = self.mha(normed, normed, normed)[0] + x
        x = self.ff(x) + x
        return x.swapaxes(2, 1).view(n, c, h, w)


class DoubleConv(nn.Module):
    def __init__(self, a: int, b: int, middle: int | None = None, residual: bool = False) -> None:
        super().__init__()
        self.residual, middle = residual, middle or b
        self.double_conv = nn.Sequential(
            *(nn.Conv2d(a, middle, 3, padding=1, bias=False), nn.GroupNorm(1, middle), nn.GELU()),
            *(nn.Conv2d(middle, b, 3, padding=1, bias=False), nn.GroupNorm(1, b)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x + self.double_conv(x)) if self.residual else self.double_conv(x)


class Step(nn.Module):
    """Down or up: convolutions at the new size, then the embedding."""

    def __init__(self, a: int, b: int, middle: int | None = None) -> None:
        super().__init__()
        self.conv = nn.Sequential(DoubleConv(a, a, residual=True), DoubleConv(a, b, middle))
        self.emb = nn.Sequential(nn.SiLU(), nn.Linear(256, b))

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        x = self.conv(x)
        return x + self.emb(emb)[:, :, None, None].repeat(1, 1, x.shape[-2], x.shape[-1])


class DoubleConvNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.label = nn.Embedding(10, 256)
        self.inc = DoubleConv(3, 64)
        self.down = nn.ModuleList(Step(a, b) for a, b in ((64, 128), (128, 256), (256, 256)))
        self.down_attention = nn.ModuleList(SelfAttention(c) for c in (128, 256, 256))
        self.bot = nn.Sequential(DoubleConv(256, 512), DoubleConv(512, 512), DoubleConv(512, 256))
        self.up = nn.ModuleList(Step(a, b, a // 2) for a, b in ((512, 128), (256, 64), (128, 64)))
        self.up_attention = nn.ModuleList(SelfAttention(c) for c in (128, 64, 64))
        self.outc = nn.Conv2d(64, 3, 1)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        emb = positions(t, 256) + self.label(labels)
        h, skips = self.inc(x), []
        for down, attention in zip(self.down, self.down_attention, strict=True):
            skips.append(h)
            h = attention(down(F.max_pool2d(h, 2), emb))
        h = self.bot(h)
        for up, attention in zip(self.up, self.up_attention, strict=True):
            skip = skips.pop()
            h = F.interpolate(h, size=skip.shape[2:], mode="bilinear", align_corners=True)
            h = attention(up(torch.cat([skip, h], dim=1), emb))
        return self.outc(h)


class DoubleConvDiffusion(Diffusion):
    def make(self) -> None:
        self.network = DoubleConvNetwork()


class ResidualBlock(nn.Module):
    def __init__(self, a: int, b: int, attention: bool = False) -> None:
        super().__init__()
        self.block1 = nn.Sequential(nn.GroupNorm(32, a), nn.SiLU(), nn.Conv2d(a, b, 3, padding=1))
        self.temb = nn.Sequential(nn.SiLU(), nn.Linear(512, b))
        self.cond = nn.Sequential(nn.SiLU(), nn.Linear(512, b))
        last = nn.Dropout(0.15), nn.Conv2d(b, b, 3, padding=1)
        self.block2 = nn.Sequential(nn.GroupNorm(32, b), nn.SiLU(), *last)
        self.shortcut = nn.Conv2d(a, b, 1) if a != b else nn.Identity()
        self.attention = SingleHead(b) if attention else nn.Identity()

    def forward(self, x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        h = self.block1(x)
        h = h + self.temb(time)[:, :, None, None]
        h = h + self.cond(label)[:, :, None, None]
        return self.attention(self.block2(h) + self.shortcut(x))


class SingleHead(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(32, c)
        self.q, self.k, self.v, self.proj = (nn.Conv2d(c, c, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        normed = self.norm(x)
        q = self.q(normed).permute(0, 2, 3, 1).view(n, h * w, c)
        weights = F.softmax(torch.bmm(q, self.k(normed).view(n, c, h * w)) * c**-0.5, dim=-1)
        mixed = torch.bmm(weights, self.v(normed).permute(0, 2, 3, 1).reshape(n, h * w, c))
        return x + self.proj(mixed.view(n, h, w, c).permute(0, 3, 1, 2))


class DownSample(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(c, c, 3, 2, 1), nn.Conv2d(c, c, 5, 2, 2)

    def forward(self, x: Tensor, *_: Tensor) -> Tensor:
        return self.c1(x) + self.c2(x)


class UpSample(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.t, self.c = nn.ConvTranspose2d(c, c, 5, 2, 2, 1), nn.Conv2d(c, c, 3, padding=1)

    def forward(self, x: Tensor, *_: Tensor) -> Tensor:
        return self.c(self.t(x))


class ResidualNetwork(nn.Module):
    def __init__(self, timesteps: int) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.Embedding(timesteps, 128), *self._mlp())
        self.label = nn.Sequential(nn.Embedding(11, 128, padding_idx=0), *self._mlp())
        self.head = nn.Conv2d(3, 128, 3, padding=1)
        block = ResidualBlock
        self.down = nn.ModuleList(
            [
                *(block(128, 128, True), block(128, 128, True), DownSample(128)),
                *(block(128, 256, True), block(256, 256, True), DownSample(256)),
                *(block(256, 256, True), block(256, 256, True)),
            ]
        )
        self.middle = nn.ModuleList([block(256, 256, True), block(256, 256)])
        self.up = nn.ModuleList(
            [
                *(block(512, 256), block(512, 256), block(512, 256), UpSample(256)),
                *(block(512, 256), block(512, 256), block(384, 256), UpSample(256)),
                *(block(384, 128), block(256, 128), block(256, 128)),
            ]
        )
        self.tail = nn.Sequential(nn.GroupNorm(32, 128), nn.SiLU(), nn.Conv2d(128, 3, 3, padding=1))

    def _mlp(self) -> Iterable[nn.Module]:
        return nn.Linear(128, 512), nn.SiLU(), nn.Linear(512, 512)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        time, label = self.time(t), self.label(labels)
        h = self.head(x)
        skips = [h]
        for layer in self.down:
            h = layer(h, time, label)
            skips.append(h)
        for layer in self.middle:
            h = layer(h, time, label)
        for layer in self.up:
            h = torch.cat([h, skips.pop()], dim=1) if isinstance(layer, ResidualBlock) else h
            h = layer(h, time, label)
        return self.tail(h)


class ResidualDiffusion(Diffusion):
    timesteps = 200

    def make(self) -> None:
        self.network = ResidualNetwork(self.timesteps)

    def shown(self, labels: Tensor) -> Tensor:
        dropped = torch.rand(len(labels), device=labels.device) < 0.1
        return torch.where(dropped, 0, labels + 1)
