"""GANs, as in pytorch/examples, heykeetae/Self-Attention-GAN and eriklindernoren/PyTorch-GAN."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

from . import Loop


def adam(network: nn.Module, lr: float, betas: tuple[float, float]) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), lr=lr, betas=betas)


class DCGAN(Loop):
    """D on real, D on generated images, then G through D once more; 64 x 64."""

    size, batch, latent = 64, 64, 100

    def make(self) -> None:
        self.generator = nn.Sequential(
            *self._up(self.latent, 512, 1, 0),
            *self._up(512, 256),
            *self._up(256, 128),
            *self._up(128, 64),
            nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False),
            nn.Tanh(),
        )
        self.discriminator = nn.Sequential(
            nn.Conv2d(3, 64, 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
            *self._down(64, 128),
            *self._down(128, 256),
            *self._down(256, 512),
            nn.Conv2d(512, 1, 4, bias=False),
            nn.Sigmoid(),
        )

    def _up(self, a: int, b: int, stride: int = 2, padding: int = 1) -> list[nn.Module]:
        conv = nn.ConvTranspose2d(a, b, 4, stride, padding, bias=False)
        return [conv, nn.BatchNorm2d(b), nn.ReLU(inplace=True)]

    def _down(self, a: int, b: int) -> list[nn.Module]:
        return [
            nn.Conv2d(a, b, 4, 2, 1, bias=False),
            nn.BatchNorm2d(b),
            nn.LeakyReLU(0.2, inplace=True),
        ]

    def prepare(self) -> None:
        self.d_optimizer = adam(self.discriminator, 2e-4, (0.5, 0.999))
        self.g_optimizer = adam(self.generator, 2e-4, (0.5, 0.999))

    def step(self) -> Tensor:
        real, _ = next(self.batches)
        ones = torch.ones(len(real), device=self.device)
        self.discriminator.zero_grad()
        loss = F.binary_cross_entropy(self.discriminator(real).view(-1), ones)
        loss.backward()
        fake = self.generator(torch.randn(len(real), self.latent, 1, 1, device=self.device))
        F.binary_cross_entropy(self.discriminator(fake.detach()).view(-1), 0 * ones).backward()
        self.d_optimizer.step()
        self.generator.zero_grad()
        F.binary_cross_entropy(self.discriminator(fake).view(-1), ones).backward()
        self.g_optimizer.step()
        return loss.detach()


class Attention(nn.Module):
    """The attention matrix of all places by all places, as a product, a softmax and a product."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels // 8, 1)
        self.key = nn.Conv2d(channels, channels // 8, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        query = self.query(x).view(n, -1, h * w).permute(0, 2, 1)
        attention = torch.softmax(torch.bmm(query, self.key(x).view(n, -1, h * w)), dim=-1)
        mixed = torch.bmm(self.value(x).view(n, -1, h * w), attention.permute(0, 2, 1))
        return self.gamma * mixed.view(n, c, h, w) + x


class SAGAN(Loop):
    """Hinge loss; attention over whole feature maps; G draws new images for its own step; 64 x 64."""

    size, batch, latent = 64, 32, 128

    def make(self) -> None:
        self.generator = nn.Sequential(
            *self._up(self.latent, 512, 1, 0),
            *self._up(512, 256),
            *self._up(256, 128),
            Attention(128),
            *self._up(128, 64),
            Attention(64),
            nn.ConvTranspose2d(64, 3, 4, 2, 1),
            nn.Tanh(),
        )
        self.discriminator = nn.Sequential(
            *self._down(3, 64),
            *self._down(64, 128),
            *self._down(128, 256),
            Attention(256),
            *self._down(256, 512),
            Attention(512),
            nn.Conv2d(512, 1, 4),
        )

    def _up(self, a: int, b: int, stride: int = 2, padding: int = 1) -> list[nn.Module]:
        return [spectral_norm(nn.ConvTranspose2d(a, b, 4, stride, padding)), nn.BatchNorm2d(b), nn.ReLU()]

    def _down(self, a: int, b: int) -> list[nn.Module]:
        return [spectral_norm(nn.Conv2d(a, b, 4, 2, 1)), nn.LeakyReLU(0.1)]

    def prepare(self) -> None:
        self.d_optimizer = adam(self.discriminator, 4e-4, (0.0, 0.9))
        self.g_optimizer = adam(self.generator, 1e-4, (0.0, 0.9))

    def draw(self, n: int) -> Any:
        return self.generator(torch.randn(n, self.latent, 1, 1, device=self.device))

    def step(self) -> Tensor:
        real, _ = next(self.batches)
        loss_real = F.relu(1 - self.discriminator(real)).mean()
        loss_fake = F.relu(1 + self.discriminator(self.draw(len(real)))).mean()
        self.discriminator.zero_grad()
        self.generator.zero_grad()
        (loss_real + loss_fake).backward()
        self.d_optimizer.step()
        loss = -self.discriminator(self.draw(len(real))).mean()
        self.discriminator.zero_grad()
        self.generator.zero_grad()
        loss.backward()
        self.g_optimizer.step()
        return loss.detach()


class ACGANGenerator(nn.Module):
    """Noise times the embedding of the class, then nearest upsampling and 3 x 3 convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 100)
        self.linear = nn.Linear(100, 128 * 8 * 8)
        self.layers = nn.Sequential(
            nn.BatchNorm2d(128),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(128, 128, 3, 1, 1),
            nn.BatchNorm2d(128, 0.8),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(128, 64, 3, 1, 1),
            nn.BatchNorm2d(64, 0.8),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(64, 3, 3, 1, 1),
            nn.Tanh(),
        )

    def forward(self, noise: Tensor, labels: Tensor) -> Any:
        return self.layers(self.linear(noise * self.embed(labels)).view(-1, 128, 8, 8))


class ACGANDiscriminator(nn.Module):
    """Four strided convolutions; one head for real or not, one for the class."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in (3, 16), (16, 32), (32, 64), (64, 128):
            layers += [nn.Conv2d(a, b, 3, 2, 1), nn.LeakyReLU(0.2, inplace=True), nn.Dropout2d(0.25)]
            layers += [nn.BatchNorm2d(b, 0.8)] if a > 3 else []
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.adversarial, self.classes = nn.Linear(512, 1), nn.Linear(512, 10)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.layers(images)
        return self.adversarial(features).view(-1), self.classes(features)


class ACGAN(Loop):
    """G first, then D on real and on the same generated images; 32 x 32."""

    size, batch, latent = 32, 64, 100

    def make(self) -> None:
        self.generator, self.discriminator = ACGANGenerator(), ACGANDiscriminator()

    def prepare(self) -> None:
        self.d_optimizer = adam(self.discriminator, 2e-4, (0.5, 0.999))
        self.g_optimizer = adam(self.generator, 2e-4, (0.5, 0.999))

    def step(self) -> Tensor:
        real, labels = next(self.batches)
        n = len(real)
        asked = torch.randint(10, (n,), device=self.device)
        fake = self.generator(torch.randn(n, self.latent, device=self.device), asked)
        self.g_optimizer.zero_grad()
        loss = self.loss(fake, asked, 1.0)
        loss.backward()
        self.g_optimizer.step()
        self.d_optimizer.zero_grad()
        ((self.loss(real, labels, 1.0) + self.loss(fake.detach(), asked, 0.0)) / 2).backward()
        self.d_optimizer.step()
        return loss.detach()

    def loss(self, images: Tensor, labels: Tensor, target: float) -> Tensor:
        score, classes = self.discriminator(images)
        adversarial = F.binary_cross_entropy_with_logits(score, torch.full_like(score, target))
        return (adversarial + F.cross_entropy(classes, labels)) / 2
