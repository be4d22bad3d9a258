"""The default encoder: small, quick, and stronger on digits than the networks of the papers."""

from __future__ import annotations

from pydantic import Field
from torch import nn

from pluglab.components import Options
from pluglab_domain_adaptation.encoders.base import EncoderBase, pooled


class Modern(EncoderBase):
    """Six 3x3 convolutions in three pairs with batch norm and leaky ReLU, averaged to 2x2 positions."""

    class Config(Options):
        width: int = Field(32, ge=1)
        """Channels of the first pair; the second has twice, the third four times as many."""
        dropout: float = Field(0.2, ge=0, lt=1)
        """Chance that a channel is dropped after each halving of the image."""

    def features(self) -> nn.Module:
        channels, w, drop = self.spec.channels, self.config.width, nn.Dropout2d(self.config.dropout)
        first = [*_convolution(channels, w), *_convolution(w, w, halve=True), drop]
        second = [*_convolution(w, 2 * w), *_convolution(2 * w, 2 * w, halve=True), drop]
        third = [*_convolution(2 * w, 4 * w), *_convolution(4 * w, 4 * w)]
        return nn.Sequential(*first, *second, *third, nn.AdaptiveAvgPool2d(2), nn.Flatten())

    def private_features(self) -> nn.Module:
        """Three convolutions to as many features: a domain has its look to itself, not its classes."""
        w = self.config.width
        halving = *_convolution(self.spec.channels, w, halve=True), *_convolution(w, 2 * w, halve=True)
        return nn.Sequential(*halving, *_convolution(2 * w, 4 * w), nn.AdaptiveAvgPool2d(2), nn.Flatten())

    def classifier(self, classes: int) -> nn.Module:
        return nn.Sequential(nn.Linear(self.out_features, 128), nn.LeakyReLU(0.1), nn.Linear(128, classes))

    def discriminator(self) -> nn.Module:
        return nn.Sequential(nn.Linear(self.out_features, 256), nn.LeakyReLU(0.1), nn.Linear(256, 2))


def _convolution(inputs: int, outputs: int, *, halve: bool = False) -> list[nn.Module]:
    # No bias: the batch norm that follows would remove it.
    convolution, rectifier = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.LeakyReLU(0.1, True)
    return [convolution, nn.BatchNorm2d(outputs), *(pooled(rectifier) if halve else [rectifier])]
