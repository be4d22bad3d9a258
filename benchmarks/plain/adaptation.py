"""Domain adaptation, as in fungtion/DANN, fungtion/DSN and corenel/pytorch-adda; 28 x 28 in color."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import Loop
from .gan import adam


class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0].neg() * ctx.factor, None


def parameters(networks: Iterable[nn.Module]) -> list[nn.Parameter]:
    return [p for network in networks for p in network.parameters()]


class DANN(Loop):
    """Each domain in a pass of its own, and the discriminator's loss for each."""

    size, batch = 28, 64

    def make(self) -> None:
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 32, 5), nn.BatchNorm2d(32), nn.ReLU(True), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 48, 5), nn.BatchNorm2d(48), nn.Dropout2d(0.5), nn.ReLU(True), nn.MaxPool2d(2)),
            nn.Flatten(),
        )
        self.classifier = nn.Sequential(*self._dense(768, 384), *self._dense(384, 192), nn.Linear(192, 10))
        self.discriminator = nn.Sequential(*self._dense(768, 384), nn.Linear(384, 2))

    def _dense(self, a: int, b: int) -> list[nn.Module]:
        return [nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU(True)]

    def prepare(self) -> None:
        self.optimizer = torch.optim.Adam(parameters(self.networks().values()), lr=1e-3)
        self.zeros = torch.zeros(self.batch, dtype=torch.long, device=self.device)

    def step(self) -> Tensor:
        (source, labels), (target, _) = next(self.batches), next(self.batches)
        self.optimizer.zero_grad()
        features = self.features(source)
        loss = F.cross_entropy(self.classifier(features), labels)
        of_source = F.cross_entropy(self.discriminator(Reverse.apply(features, 0.5)), self.zeros)
        features = self.features(target)
        of_target = F.cross_entropy(self.discriminator(Reverse.apply(features, 0.5)), self.zeros + 1)
        (loss + of_source + of_target).backward()
        self.optimizer.step()
        return loss.detach()


class DSN(Loop):
    """Two steps of the optimizer an iteration, one a domain; shared and private encoders, one decoder."""

    size, batch = 28, 64

    def make(self) -> None:
        self.shared = self._encoder(48)
        self.source, self.target = self._encoder(64), self._encoder(64)
        self.classifier = nn.Sequential(nn.Linear(100, 100), nn.ReLU(True), nn.Linear(100, 10))
        self.discriminator = nn.Sequential(nn.Linear(100, 100), nn.ReLU(True), nn.Linear(100, 2))
        self.project = nn.Sequential(nn.Linear(100, 588), nn.ReLU(True))
        self.decoder = nn.Sequential(
            *(nn.Conv2d(3, 16, 5, padding=2), nn.ReLU(True), nn.Conv2d(16, 16, 5, padding=2), nn.ReLU(True)),
            *(nn.Upsample(scale_factor=2), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(True)),
            nn.Conv2d(16, 3, 3, padding=1),
        )

    def _encoder(self, width: int) -> nn.Sequential:
        return nn.Sequential(
            *(nn.Conv2d(3, 32, 5, padding=2), nn.ReLU(True), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, width, 5, padding=2), nn.ReLU(True), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(width * 49, 100), nn.ReLU(True)),
        )

    def prepare(self) -> None:
        self.optimizer = torch.optim.SGD(
            parameters(self.networks().values()), lr=0.01, momentum=0.9, weight_decay=1e-6
        )
        self.zeros = torch.zeros(self.batch, dtype=torch.long, device=self.device)

    def step(self) -> Tensor:
        images, labels = next(self.batches)
        self._descend(images, self.source, self.zeros, labels)
        return self._descend(next(self.batches)[0], self.target, self.zeros + 1, None)

    def _descend(self, images: Tensor, encoder: nn.Module, domain: Tensor, labels: Tensor | None) -> Tensor:
        self.optimizer.zero_grad()
        private, shared = encoder(images), self.shared(images)
        made = self.decoder(self.project(private + shared).view(-1, 3, 14, 14))
        error = made - images
        si_mse = F.mse_loss(made, images) - error.mean().pow(2)
        loss = 0.01 * si_mse + 0.075 * self._difference(private, shared)
        loss = loss + 0.25 * F.cross_entropy(self.discriminator(Reverse.apply(shared, 0.5)), domain)
        if labels is not None:
            loss = loss + F.cross_entropy(self.classifier(shared), labels)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def _difference(self, first: Tensor, second: Tensor) -> Tensor:
        first = first / (first.norm(dim=1, keepdim=True).detach() + 1e-6)
        second = second / (second.norm(dim=1, keepdim=True).detach() + 1e-6)
        return first.t().mm(second).pow(2).mean()


class ADDA(Loop):
    """The adversarial part: the discriminator, then the target encoder; the source encoder is fixed."""

    size, batch = 28, 64

    def make(self) -> None:
        self.features, self.target_features = self._encoder(), self._encoder()
        self.classifier = nn.Sequential(nn.ReLU(), nn.Linear(500, 10))
        self.discriminator = nn.Sequential(
            nn.Linear(500, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 2)
        )

    def _encoder(self) -> nn.Sequential:
        return nn.Sequential(
            *(nn.Conv2d(3, 20, 5), nn.MaxPool2d(2), nn.ReLU()),
            *(nn.Conv2d(20, 50, 5), nn.Dropout2d(), nn.MaxPool2d(2), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(800, 500)),
        )

    def prepare(self) -> None:
        self.target_optimizer = adam(self.target_features, 2e-4, (0.5, 0.9))
        self.d_optimizer = adam(self.discriminator, 2e-4, (0.5, 0.9))
        self.ones = torch.ones(self.batch, dtype=torch.long, device=self.device)
        self.domains = torch.cat([self.ones, 0 * self.ones])

    def step(self) -> Tensor:
        (source, _), (target, _) = next(self.batches), next(self.batches)
        self.d_optimizer.zero_grad()
        both = torch.cat([self.features(source), self.target_features(target)])
        F.cross_entropy(self.discriminator(both.detach()), self.domains).backward()
        self.d_optimizer.step()
        self.d_optimizer.zero_grad()
        self.target_optimizer.zero_grad()
        loss = F.cross_entropy(self.discriminator(self.target_features(target)), self.ones)
        loss.backward()
        self.target_optimizer.step()
        return loss.detach()
