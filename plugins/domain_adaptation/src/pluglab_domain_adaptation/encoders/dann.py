"""Three networks on which DANN (Ganin et al. 2016) is commonly run, for small color digits."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from pluglab.components import Options
from pluglab_domain_adaptation.encoders.base import EncoderBase, pooled


class DannI(EncoderBase):
    """Two 5x5 convolutions (32, 48) with batch norm; heads of linear, batch norm, ReLU."""

    def features(self) -> nn.Module:
        return _two_convolutions(self.spec.channels, 32, dropout=0.5)

    def classifier(self, classes: int) -> nn.Module:
        hidden = [*_dense(self.out_features, 384, nn.ReLU()), *_dense(384, 192, nn.ReLU())]
        return nn.Sequential(*hidden, nn.Linear(192, classes))

    def discriminator(self) -> nn.Module:
        return nn.Sequential(*_dense(self.out_features, 384, nn.ReLU()), nn.Linear(384, 2))


class DannII(EncoderBase):
    """Two 5x5 convolutions (64, 48) with batch norm; heads of dropout, linear, batch norm, Mish."""

    def features(self) -> nn.Module:
        return _two_convolutions(self.spec.channels, 64, dropout=0.3)

    def classifier(self, classes: int) -> nn.Module:
        first, second = _mish(self.out_features, 192), _mish(192, 128)
        return nn.Sequential(*first, *second, nn.Linear(128, classes))

    def discriminator(self) -> nn.Module:
        return nn.Sequential(*_mish(self.out_features, 128), nn.Linear(128, 2))


class DannIII(EncoderBase):
    """Five 3x3 convolutions (64-128-256-256-512) with batch norm and ReLU, then the mean over positions."""

    class Config(Options):
        pool_after: tuple[int, ...] = (1, 2, 3)
        """Convolutions (from 1) followed by a 2x2 maximum; () keeps the full size at 25 times the work."""

    def features(self) -> nn.Module:
        widths = [self.spec.channels, 64, 128, 256, 256, 512]
        layers: list[nn.Module] = []
        for i, (inputs, outputs) in enumerate(pairwise(widths), start=1):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs)]
            layers += pooled(nn.ReLU(True)) if i in self.config.pool_after else [nn.ReLU(True)]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def classifier(self, classes: int) -> nn.Module:
        return nn.Sequential(nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, classes))

    def discriminator(self) -> nn.Module:
        first = [nn.Linear(512, 256), nn.LeakyReLU(0.2)]
        return nn.Sequential(*first, nn.Linear(256, 128), nn.LeakyReLU(0.2), nn.Linear(128, 1))


def _two_convolutions(channels: int, width: int, dropout: float) -> nn.Module:
    first = [nn.Conv2d(channels, width, 5), nn.BatchNorm2d(width), *pooled(nn.ReLU(True))]
    second = [nn.Conv2d(width, 48, 5), nn.BatchNorm2d(48), nn.Dropout2d(dropout), *pooled(nn.ReLU(True))]
    return nn.Sequential(*first, *second, nn.Flatten())


def _dense(inputs: int, outputs: int, activation: nn.Module) -> list[nn.Module]:
    return [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), activation]


def _mish(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Dropout(0.3), *_dense(inputs, outputs, nn.Mish())]
