"""StyleGAN2, as in lucidrains/stylegan2-pytorch: 64 x 64, narrowed by `width` as the shipped recipe is."""

from __future__ import annotations

import copy
import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import Loop
from .gan import adam


def leaky() -> nn.Module:
    return nn.LeakyReLU(0.2, inplace=True)


class EqualLinear(nn.Module):
    def __init__(self, size: int, rate: float = 0.1) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(size, size)), nn.Parameter(torch.zeros(size))
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.rate, self.bias * self.rate)


class Blur(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 2.0, 1.0])
        self.register_buffer("f", taps[None, :] * taps[:, None] / 16, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        c = x.shape[1]
        kernel = self.f[None, None].expand(c, 1, 3, 3)  # type: ignore[index]
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), kernel, groups=c)


class Conv2DMod(nn.Module):
    """One kernel an image, all in one grouped convolution."""

    def __init__(self, a: int, b: int, kernel: int, demod: bool = True) -> None:
        super().__init__()
        self.filters, self.kernel, self.demod = b, kernel, demod
        self.weight = nn.Parameter(torch.randn(b, a, kernel, kernel))
        nn.init.kaiming_normal_(self.weight, a=0, mode="fan_in", nonlinearity="leaky_relu")

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        n, _, h, w = x.shape
        weights = self.weight[None] * (y[:, None, :, None, None] + 1)
        if self.demod:
            weights = weights * torch.rsqrt((weights**2).sum(dim=(2, 3, 4), keepdim=True) + 1e-8)
        weights = weights.reshape(n * self.filters, *weights.shape[2:])
        x = F.conv2d(x.reshape(1, -1, h, w), weights, padding=self.kernel // 2, groups=n)
        return x.reshape(-1, self.filters, h, w)


class ChanNorm(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.g, self.b = nn.Parameter(torch.ones(1, c, 1, 1)), nn.Parameter(torch.zeros(1, c, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        std = torch.var(x, dim=1, unbiased=False, keepdim=True).sqrt()
        return (x - x.mean(dim=1, keepdim=True)) / (std + 1e-5) * self.g + self.b


class LinearAttention(nn.Module):
    def __init__(self, c: int, heads: int) -> None:
        super().__init__()
        inner = 64 * heads
        self.heads = heads
        self.to_q = nn.Conv2d(c, inner, 1, bias=False)
        depthwise = nn.Conv2d(c, c, 3, padding=1, groups=c, bias=False)
        self.to_kv = nn.Sequential(depthwise, nn.Conv2d(c, 2 * inner, 1, bias=False))
        self.to_out = nn.Conv2d(inner, c, 1)

    def forward(self, fmap: Tensor) -> Tensor:
        n, _, x, y = fmap.shape
        heads = lambda t: (  # noqa: E731
            t.view(n, self.heads, 64, x * y).permute(0, 1, 3, 2).reshape(-1, x * y, 64)
        )
        q, k, v = map(heads, (self.to_q(fmap), *self.to_kv(fmap).chunk(2, dim=1)))
        q, k = q.softmax(dim=-1) * 64**-0.5, k.softmax(dim=-2)
        out = torch.einsum("bnd,bde->bne", q, torch.einsum("bnd,bne->bde", k, v))
        out = out.view(n, self.heads, x * y, 64).permute(0, 1, 3, 2).reshape(n, -1, x, y)
        return self.to_out(F.gelu(out))


class AttentionAndFF(nn.Module):
    def __init__(self, c: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(ChanNorm(c), LinearAttention(c, heads))
        self.ff = nn.Sequential(ChanNorm(c), nn.Conv2d(c, 2 * c, 1), leaky(), nn.Conv2d(2 * c, c, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(x)
        return x + self.ff(x)


class GeneratorBlock(nn.Module):
    def __init__(self, latent: int, a: int, b: int, upsample: bool, last: bool) -> None:
        super().__init__()
        self.upsample = nn.Upsample(scale_factor=2, mode="bilinear") if upsample else nn.Identity()
        self.to_style1, self.to_noise1, self.conv1 = nn.Linear(latent, a), nn.Linear(1, b), Conv2DMod(a, b, 3)
        self.to_style2, self.to_noise2, self.conv2 = nn.Linear(latent, b), nn.Linear(1, b), Conv2DMod(b, b, 3)
        self.to_style3, self.to_rgb = nn.Linear(latent, b), Conv2DMod(b, 3, 1, demod=False)
        self.grow = (
            nn.Identity() if last else nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), Blur())
        )

    def forward(self, x: Tensor, rgb: Tensor | None, style: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        x = self.upsample(x)
        noise = noise[:, : x.shape[2], : x.shape[3]]
        noise1, noise2 = (f(noise).permute(0, 3, 2, 1) for f in (self.to_noise1, self.to_noise2))
        x = F.leaky_relu(self.conv1(x, self.to_style1(style)) + noise1, 0.2, inplace=True)
        x = F.leaky_relu(self.conv2(x, self.to_style2(style)) + noise2, 0.2, inplace=True)
        image = self.to_rgb(x, self.to_style3(style))
        image = image if rgb is None else image + rgb
        return x, self.grow(image)


class Generator(nn.Module):
    def __init__(self, latent: int, width: int, heads: int) -> None:
        super().__init__()
        widths = [8 * width, 8 * width, 4 * width, 2 * width, width, width // 2]
        pairs = list(itertools.pairwise(widths))
        self.mapping = nn.ModuleList(EqualLinear(latent) for _ in range(8))
        self.initial_block = nn.Parameter(torch.randn(1, widths[0], 4, 4))
        self.initial_conv = nn.Conv2d(widths[0], widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(
            GeneratorBlock(latent, a, b, i > 0, i == len(pairs) - 1) for i, (a, b) in enumerate(pairs)
        )
        self.attention = AttentionAndFF(widths[-2], heads)

    def styles(self, z: Tensor) -> Tensor:
        w = F.normalize(z, dim=1)
        for layer in self.mapping:
            w = F.leaky_relu(layer(w), 0.2, inplace=True)
        return w[:, None].expand(-1, len(self.blocks), -1)

    def forward(self, styles: Tensor, noise: Tensor) -> Tensor:
        x = self.initial_conv(self.initial_block.expand(len(styles), -1, -1, -1))
        rgb = None
        for i, (block, style) in enumerate(zip(self.blocks, styles.unbind(1), strict=True)):
            x = self.attention(x) if i == len(self.blocks) - 1 else x
            x, rgb = block(x, rgb, style, noise)
        assert rgb is not None
        return rgb


class DiscriminatorBlock(nn.Module):
    def __init__(self, a: int, b: int, downsample: bool) -> None:
        super().__init__()
        self.conv_res = nn.Conv2d(a, b, 1, stride=2 if downsample else 1)
        convs = nn.Conv2d(a, b, 3, padding=1), leaky(), nn.Conv2d(b, b, 3, padding=1), leaky()
        self.net = nn.Sequential(*convs)
        down = nn.Sequential(Blur(), nn.Conv2d(b, b, 3, padding=1, stride=2))
        self.downsample = down if downsample else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return (self.downsample(self.net(x)) + self.conv_res(x)) * (1 / math.sqrt(2))


class StyleGAN2(Loop):
    """Hinge loss; D's gradient every 4 steps, path lengths every 32; G is run anew for its own step."""

    size, batch, latent, width, heads = 64, 16, 128, 16, 1

    def make(self) -> None:
        w = self.width
        widths = [3, w, 2 * w, 4 * w, 8 * w, 8 * w, 8 * w]
        pairs = list(itertools.pairwise(widths))
        blocks = [DiscriminatorBlock(a, b, i < len(pairs) - 1) for i, (a, b) in enumerate(pairs)]
        last = nn.Conv2d(8 * w, 8 * w, 3, padding=1), nn.Flatten(), nn.Linear(32 * w, 1)
        attention = AttentionAndFF(w, self.heads)
        self.discriminator = nn.Sequential(blocks[0], attention, *blocks[1:], *last)
        self.generator = Generator(self.latent, w, self.heads)

    def prepare(self) -> None:
        self.d_optimizer = adam(self.discriminator, 4e-4, (0.5, 0.9))
        self.g_optimizer = adam(self.generator, 2e-4, (0.5, 0.9))
        self._average = [copy.deepcopy(self.generator)]  # not a network to train
        self.steps, self.mean_length = 0, torch.zeros((), device=self.device)

    def draw(self) -> tuple[Tensor, Tensor]:
        styles = self.generator.styles(torch.randn(self.batch, self.latent, device=self.device))
        noise = torch.rand(self.batch, self.size, self.size, 1, device=self.device)
        return self.generator(styles, noise), styles

    def step(self) -> Tensor:
        real, _ = next(self.batches)
        self.d_optimizer.zero_grad()
        fake, _ = self.draw()
        scores = self.discriminator(fake.clone().detach())
        real.requires_grad_()
        of_real = self.discriminator(real)
        loss = (F.relu(1 + of_real) + F.relu(1 - scores)).mean()
        if self.steps % 4 == 0:
            (gradient,) = torch.autograd.grad(of_real.sum(), real, create_graph=True)
            loss = loss + 10 * ((gradient.reshape(self.batch, -1).norm(2, dim=1) - 1) ** 2).mean()
        loss.backward()
        self.d_optimizer.step()
        self.g_optimizer.zero_grad()
        fake, styles = self.draw()
        g_loss = self.discriminator(fake).mean()
        if self.steps % 32 == 0:
            g_loss = g_loss + self.path_penalty(fake, styles)
        g_loss.backward()
        self.g_optimizer.step()
        if self.steps % 10 == 0:
            for old, new in zip(self._average[0].parameters(), self.generator.parameters(), strict=True):
                old.data = old.data * 0.995 + 0.005 * new.data
        self.steps += 1
        return loss.detach()

    def path_penalty(self, images: Tensor, styles: Tensor) -> Tensor:
        noise = torch.randn_like(images) / math.sqrt(images[0, 0].numel())
        (gradient,) = torch.autograd.grad((images * noise).sum(), styles, create_graph=True)
        lengths = (gradient**2).sum(dim=2).mean(dim=1).sqrt()
        penalty = ((lengths - self.mean_length) ** 2).mean()
        self.mean_length = self.mean_length * 0.99 + 0.01 * lengths.mean().detach()
        return penalty
