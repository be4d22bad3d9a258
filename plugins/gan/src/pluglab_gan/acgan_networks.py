"""Class-conditional generators, and discriminators that classify or are told the class.

A generator takes latents N x Z and labels N. A discriminator that classifies takes images and returns
N x (1 + K): the adversarial score, then K class logits. These go into cross-entropy without a softmax before.
One that projects returns N x K: the score of an image as one of each class.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from pluglab.protocols import ImageSpec
from pluglab_gan.networks import channels, dcgan_generator, dcgan_trunk, initialized, rectifier
from pluglab_gan.spectral import spectrally_normalized


class ConditionalBatchNorm(nn.Module):
    """Batch norm with a learned scale and shift of each class (de Vries et al. 2017, arXiv:1707.00683)."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale, self.shift = nn.Embedding(classes, channels), nn.Embedding(classes, channels)
        nn.init.normal_(self.scale.weight, 1.0, 0.02)
        nn.init.normal_(self.shift.weight, 0.0, 0.5)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        scale, shift = (part(labels).to(x.dtype)[:, :, None, None] for part in (self.scale, self.shift))
        return torch.addcmul(shift, self.norm(x), scale)


class ModulatedGenerator(nn.Module):
    """DCGAN's generator, told the class in every batch norm.

    What the latents make is brought to unit variance before the class changes it, so that the class cannot
    drown it. A class that comes in beside the noise does, and all images of a class are soon the same.
    """

    def __init__(self, spec: ImageSpec, latent_size: int, width: int) -> None:
        super().__init__()
        norm = partial(ConditionalBatchNorm, spec.num_classes)
        self.layers = nn.ModuleList(dcgan_generator(spec, latent_size, width, norm=norm))

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        x = latents
        for layer in self.layers:
            x = layer(x, labels) if isinstance(layer, ConditionalBatchNorm) else layer(x)
        return x


class MultipliedGenerator(nn.Module):
    """`generator`, given latents times a learned vector of the class."""

    def __init__(self, generator: nn.Module, classes: int, latent_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, latent_size)
        self.generator = generator

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        return self.generator(self.embedding(labels) * latents)


class Judge(nn.Module):
    """A trunk whose features N x F two linear heads read: one scores, one classifies."""

    def __init__(self, trunk: nn.Module, score: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.trunk, self.score, self.classifier = trunk, score, classifier

    def forward(self, images: Tensor) -> Tensor:
        features = self.trunk(images)
        return torch.cat([self.score(features), self.classifier(features)], dim=1)


def default_discriminator(spec: ImageSpec, width: int) -> Judge:
    """DCGAN's without batch norm, spectrally normalized but for the class head, which needs no bound."""
    features = 16 * channels(spec, width)[0]
    trunk = initialized(nn.Sequential(*dcgan_trunk(spec, width, batch_norm=False), nn.Flatten()))
    score, classifier = nn.Linear(features, 1), nn.Linear(features, spec.num_classes)
    return Judge(spectrally_normalized(trunk), spectrally_normalized(score), classifier)


class Projection(nn.Module):
    """A trunk whose features N x F make scores N x K of images as ones of each class: psi(features) + v_k .
    features, psi being linear and v_k the class's vector (Miyato and Koyama 2018, eq. 3)."""

    def __init__(self, trunk: nn.Module, features: int, classes: int) -> None:
        super().__init__()
        self.trunk, self.score = trunk, nn.Linear(features, 1)
        self.classes = nn.Linear(features, classes, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        features = self.trunk(images)
        scores: Tensor = self.score(features) + self.classes(features)
        return scores


def projection_discriminator(spec: ImageSpec, width: int, spectral_norm: bool) -> Projection:
    """DCGAN's without batch norm; all of it spectrally normalized if asked for."""
    features = 16 * channels(spec, width)[0]
    trunk = initialized(nn.Sequential(*dcgan_trunk(spec, width, batch_norm=False), nn.Flatten()))
    network = Projection(trunk, features, spec.num_classes)
    return spectrally_normalized(network) if spectral_norm else network


def printed_generator(spec: ImageSpec, latent_size: int, width: int) -> MultipliedGenerator:
    """As printed in reports for 32 pixels and width 64; batch norm has eps 0.8, as printed.

    Raises `UserError` for sizes that are no multiple of 4.
    """
    _check_printed(spec)
    wide, start = 2 * width, spec.height // 4
    layers: list[nn.Module] = [nn.Linear(latent_size, wide * start**2), nn.Unflatten(1, (wide, start, start))]
    layers += [nn.BatchNorm2d(wide)]
    for before, after in ((wide, wide), (wide, width)):
        layers += [nn.Upsample(scale_factor=2), nn.Conv2d(before, after, 3, 1, 1)]
        layers += [nn.BatchNorm2d(after, 0.8), rectifier(0.2)]
    layers += [nn.Conv2d(width, spec.channels, 3, 1, 1), nn.Tanh()]
    return MultipliedGenerator(initialized(nn.Sequential(*layers)), spec.num_classes, latent_size)


def printed_discriminator(spec: ImageSpec, width: int) -> Judge:
    """As printed in reports for 32 pixels and width 64: 16 to 128 channels with dropout, batch norm (eps 0.8)
    after all convolutions but the first."""
    _check_printed(spec)
    layers: list[nn.Module] = []
    for before, after in pairwise([spec.channels, width // 4, width // 2, width, 2 * width]):
        layers += [nn.Conv2d(before, after, 3, 2, 1), rectifier(0.2), nn.Dropout2d(0.25)]
        layers += [nn.BatchNorm2d(after, 0.8)] if before != spec.channels else []
    trunk = initialized(nn.Sequential(*layers, nn.Flatten()))
    features = 2 * width * (-(-spec.height // 16)) ** 2
    return Judge(trunk, nn.Linear(features, 1), nn.Linear(features, spec.num_classes))


def _check_printed(spec: ImageSpec) -> None:
    square = spec.height == spec.width and spec.height >= 8 and not spec.height % 4
    spec.require(square, "preset 'printed'", "squares of 8, 12, 16, ... pixels")
