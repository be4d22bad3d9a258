"""ACGAN: image synthesis with auxiliary classifier GANs (Odena et al. 2017, arXiv:1610.09585)."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pluglab.protocols import Progress
from pluglab_gan import acgan_networks as networks
from pluglab_gan.conditional import ConditionalGAN
from pluglab_gan.options import GANOptions, Optimizer, adam


class ACGAN(ConditionalGAN):
    """D scores and classifies; G, told a class, wants its images to be scored as real and classified as that.

    D descends its adversarial loss plus the cross-entropy of real images (section 3, L_S and L_C).
    """

    class Config(GANOptions):
        preset: Literal["default", "printed"] = "default"
        """The networks: DCGAN's with spectral normalization in D, or those printed in reports (upsampling in
        G, batch norm with eps 0.8, dropout in D)."""
        width: int = Field(64, ge=8, multiple_of=4)
        """Channels of the largest feature maps of G."""
        generator_optimizer: Optimizer = adam(5e-4, (0.5, 0.99))
        """The optimizer of G, with its own learning rate."""
        discriminator_optimizer: Optimizer = adam(5e-4, (0.5, 0.99))
        """The optimizer of D, with its own learning rate."""
        r1: float = Field(0.2, ge=0)
        """Weight of the squared gradient of D at real images (Mescheder et al. 2018)."""
        penalty_every: int = Field(4, ge=1)
        """Steps between two penalties on D's gradient; each then counts that many times."""
        class_weight: float = Field(1.0, ge=0)
        """Weight of the cross-entropy of real images in D's loss."""
        fake_class_weight: float = Field(0.0, ge=0)
        """Weight of the cross-entropy of generated images in D's loss. The paper's is 1; then D also learns
        whatever marks G has invented for a class."""
        generator_class_weight: float = Field(0.6, ge=0)
        """Weight of the cross-entropy of generated images in G's loss."""

    config: Config
    name = "acgan"

    def make_networks(self) -> tuple[nn.Module, nn.Module]:
        c = self.config
        if c.preset == "printed":
            printed = networks.printed_generator(self.spec, c.latent_size, c.width)
            return printed, networks.printed_discriminator(self.spec, c.width)
        generator = networks.ModulatedGenerator(self.spec, c.latent_size, c.width)
        return generator, networks.default_discriminator(self.spec, c.width)

    def train_discriminator(
        self, real: Tensor, fake: Tensor, labels: Tensor, progress: Progress
    ) -> dict[str, Tensor]:
        """One step of D on real images, and on generated ones of the same classes."""
        c, (real, fake) = self.config, self.judged(real, fake, progress)
        of_real, of_fake = self.discriminate(real, fake)
        loss = self.loss.discriminator(of_real[:, 0], of_fake[:, 0])
        class_loss = c.class_weight * F.cross_entropy(of_real[:, 1:], labels)
        if c.fake_class_weight:
            class_loss = class_loss + c.fake_class_weight * F.cross_entropy(of_fake[:, 1:], labels)
        penalty, logs = self.penalty((real, of_real[:, 0]), (fake, of_fake[:, 0]), progress)
        self.update(self.discriminator_optimizer, loss + class_loss + penalty)
        return {
            "loss/discriminator": loss.detach(),
            "loss/discriminator_class": class_loss.detach(),
            **logs,
            "training/real_score": of_real[:, 0].detach().mean(),
            "training/fake_score": of_fake[:, 0].detach().mean(),
            "training/class_accuracy": _accuracy(of_real[:, 1:], labels),
        }

    def train_generator(self, real: Tensor, fake: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """One step of G down what D now says of its images and of their class."""
        output = self.discriminate_fake(fake)
        loss, class_loss = self.generator_loss(output, real), F.cross_entropy(output[:, 1:], labels)
        gradient = self.update_generator(loss + self.config.generator_class_weight * class_loss, fake)
        return {
            "loss/generator": loss.detach(),
            "loss/generator_class": class_loss.detach(),
            "training/generator_gradient": gradient,
            "training/fake_class_accuracy": _accuracy(output[:, 1:], labels),
        }

    def predict(self, images: Tensor, role: str) -> Tensor:
        """Class logits N x K of D's second head."""
        return self.discriminator(images)[:, 1:]


def _accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits.detach().argmax(1) == labels).float().mean()
