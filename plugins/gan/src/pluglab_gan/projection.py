"""A class-conditional GAN with a projection discriminator (Miyato and Koyama 2018, arXiv:1802.05637)."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from pluglab.components import Component, Reference, named
from pluglab.protocols import Progress
from pluglab_gan import acgan_networks as networks
from pluglab_gan.conditional import ConditionalGAN
from pluglab_gan.options import GANOptions, Optimizer, adam


class ProjectionGAN(ConditionalGAN):
    """D scores an image as one of a class: what it says of the image, plus a product with the class's vector.

    No network classifies, so G gains nothing from images that are easy to classify: what varies within a
    class it has to vary. The loss is taken in pairs of a class, with both penalties (Huang et al. 2024).
    """

    class Config(GANOptions):
        loss: Annotated[Component, Reference("gan_loss")] = named("relativistic")
        """What D and G descend; the paper's is the hinge loss."""
        width: int = Field(64, ge=8, multiple_of=4)
        """Channels of the largest feature maps."""
        generator_optimizer: Optimizer = adam(3e-4, (0.0, 0.99))
        """The optimizer of G, with its own learning rate."""
        discriminator_optimizer: Optimizer = adam(3e-4, (0.0, 0.99))
        """The optimizer of D, with its own learning rate."""
        r1: float = Field(1.0, ge=0)
        """Weight of the squared gradient of D at real images (Mescheder et al. 2018)."""
        r2: float = Field(1.0, ge=0)
        """Weight of the squared gradient of D at generated images (Mescheder et al. 2018)."""
        penalty_every: int = Field(2, ge=1)
        """Steps between two penalties on D's gradient; each then counts that many times."""
        spectral_norm: bool = False
        """Divide D's weights by their largest singular value, as the paper does."""

    config: Config
    name = "projection_gan"

    def make_networks(self) -> tuple[nn.Module, nn.Module]:
        c = self.config
        generator = networks.ModulatedGenerator(self.spec, c.latent_size, c.width)
        return generator, networks.projection_discriminator(self.spec, c.width, c.spectral_norm)

    def train_discriminator(
        self, real: Tensor, fake: Tensor, labels: Tensor, progress: Progress
    ) -> dict[str, Tensor]:
        """One step of D on real images, and on generated ones of the same classes."""
        real, fake = self.judged(real, fake, progress)
        score = partial(of_classes, labels=labels)
        real_scores, fake_scores = map(score, self.discriminate(real, fake))
        loss = self.loss.discriminator(real_scores, fake_scores)
        penalty, logs = self.penalty((real, real_scores), (fake, fake_scores), progress, score)
        self.update(self.discriminator_optimizer, loss + penalty)
        return {
            "loss/discriminator": loss.detach(),
            **logs,
            "training/real_score": real_scores.detach().mean(),
            "training/fake_score": fake_scores.detach().mean(),
        }

    def train_generator(self, real: Tensor, fake: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """One step of G down what D now says of its images as ones of their classes."""
        score = partial(of_classes, labels=labels)
        loss = self.generator_loss(self.discriminate_fake(fake), real, score)
        gradient = self.update_generator(loss, fake)
        return {"loss/generator": loss.detach(), "training/generator_gradient": gradient}


def of_classes(scores: Tensor, labels: Tensor) -> Tensor:
    """From scores N x K, of images as ones of each class, those of the classes that they are of: N."""
    return scores.gather(1, labels[:, None])[:, 0]
