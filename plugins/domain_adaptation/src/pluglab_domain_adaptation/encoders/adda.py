"""The network of ADDA (Tzeng et al. 2017) for digits: LeNet with a wide discriminator."""

from __future__ import annotations

from torch import nn

from pluglab_domain_adaptation.encoders.base import EncoderBase, pooled


class LeNet(EncoderBase):
    """Two 5x5 convolutions (20, 50) and a linear layer of 500, whose ReLU belongs to the classifier, so that
    the discriminator sees both signs."""

    def features(self) -> nn.Module:
        first = [nn.Conv2d(self.spec.channels, 20, 5), *pooled(nn.ReLU(True))]
        second = [nn.Conv2d(20, 50, 5), nn.Dropout2d(0.5), *pooled(nn.ReLU(True))]
        positions = ((self.spec.height - 4) // 2 - 4) // 2 * (((self.spec.width - 4) // 2 - 4) // 2)
        return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(50 * positions, 500))

    def classifier(self, classes: int) -> nn.Module:
        return nn.Sequential(nn.ReLU(), nn.Linear(500, classes))

    def discriminator(self) -> nn.Module:
        hidden = [nn.Linear(500, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU()]
        return nn.Sequential(*hidden, nn.Linear(200, 2))
