"""A variational autoencoder, as in the reports: 64 x 64, latent 256."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import Loop


class VAE(Loop):
    size, batch, latent = 64, 64, 256

    def make(self) -> None:
        down, up = (3, 32, 128, 256, 64), (512, 128, 32, 16)
        layers: list[nn.Module] = []
        for a, b in itertools.pairwise(down):
            layers += [nn.Conv2d(a, b, 4, 2, 1), nn.ReLU()]
        self.encoder = nn.Sequential(*layers, nn.Flatten())
        self.mean, self.log_variance = nn.Linear(1024, self.latent), nn.Linear(1024, self.latent)
        layers = [nn.ConvTranspose2d(self.latent, 512, 4), nn.ReLU()]
        for a, b in itertools.pairwise(up):
            layers += [nn.ConvTranspose2d(a, b, 4, 2, 1), nn.ReLU()]
        self.decoder = nn.Sequential(*layers, nn.ConvTranspose2d(16, 3, 4, 2, 1), nn.Sigmoid())

    def prepare(self) -> None:
        parameters = [p for network in self.networks().values() for p in network.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=1e-3)

    def step(self) -> Tensor:
        images, _ = next(self.batches)
        images = (images + 1) / 2
        self.optimizer.zero_grad()
        hidden = self.encoder(images)
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        made = self.decoder(z[:, :, None, None])
        kl = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
        loss = F.mse_loss(made, images, reduction="sum") + kl
        loss.backward()
        self.optimizer.step()
        return loss.detach()
