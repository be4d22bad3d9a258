"""The networks of DSN (Bousmalis et al. 2016) for digits: a shared and a private encoder, and a decoder."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pluglab.components import Options
from pluglab.protocols import ImageSpec
from pluglab_domain_adaptation.encoders.base import EncoderBase, pooled

CODE = 100


class DsnPaper(EncoderBase):
    """Two 5x5 convolutions and a code of 100: widths 32, 48 in the shared encoder, 32, 64 in the private."""

    def features(self) -> nn.Module:
        return self._encoder(48)

    def private_features(self) -> nn.Module:
        return self._encoder(64)

    def classifier(self, classes: int) -> nn.Module:
        return nn.Sequential(nn.Linear(CODE, 100), nn.ReLU(), nn.Linear(100, classes))

    def discriminator(self) -> nn.Module:
        return nn.Sequential(nn.Linear(CODE, 100), nn.ReLU(), nn.Linear(100, 2))

    def _encoder(self, width: int) -> nn.Module:
        first = [nn.Conv2d(self.spec.channels, 32, 5, padding=2), *pooled(nn.ReLU(True))]
        second = [nn.Conv2d(32, width, 5, padding=2), *pooled(nn.ReLU(True))]
        positions = (self.spec.height // 4) * (self.spec.width // 4)
        return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(width * positions, CODE), nn.ReLU())


class DsnDecoder(nn.Module):
    """Features N x F to images N x C x H x W: a linear layer to half the size, 5x5 convolutions, nearest
    upsampling, 3x3 convolutions. The last layer is linear, so values are not confined to [-1, 1]."""

    Config = Options

    def __init__(self, config: Any, in_features: int, spec: ImageSpec) -> None:
        super().__init__()
        self.start = (spec.channels, -(-spec.height // 2), -(-spec.width // 2))
        self.project = nn.Sequential(nn.Linear(in_features, torch.Size(self.start).numel()), nn.ReLU())
        self.draw = nn.Sequential(
            *_convolution(spec.channels, 16, 5),
            *_convolution(16, 16, 5),
            nn.Upsample((spec.height, spec.width)),
            *_convolution(16, 16, 3),
            nn.Conv2d(16, spec.channels, 3, padding=1),
        )

    def forward(self, features: Tensor) -> Tensor:
        return self.draw(self.project(features).unflatten(1, self.start))


def _convolution(inputs: int, outputs: int, size: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, size, padding=size // 2), nn.ReLU()]
