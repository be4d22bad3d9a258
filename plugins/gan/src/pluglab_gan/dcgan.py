"""DCGAN: deep convolutional generative adversarial networks (Radford et al. 2016, arXiv:1511.06434)."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field
from torch import Tensor, nn

from pluglab.protocols import Batch, Progress
from pluglab_gan.base import GANTrainer, diversity
from pluglab_gan.networks import dcgan_discriminator, dcgan_generator
from pluglab_gan.options import GANOptions
from pluglab_gan.spectral import spectrally_normalized


class DCGAN(GANTrainer):
    """D learns to tell real images from G's, then G learns to fool it.

    G is run once a step: D sees its images cut off from G, and G learns from the same images, as D judges
    them after its own step.
    """

    class Config(GANOptions):
        width: int = Field(64, ge=8)
        """Channels of the largest feature maps; the smallest have 8 times as many."""
        generator_slope: float = Field(0.0, ge=0, lt=1)
        """Slope of G's ReLU for negative values; the paper's is 0."""
        batch_norm: bool = True
        """Batch norm in D; G always has it."""
        spectral_norm: bool = False
        """Divide D's weights by their largest singular value (Miyato et al. 2018)."""

    config: Config

    def make_networks(self) -> tuple[nn.Module, nn.Module]:
        c = self.config
        generator = dcgan_generator(self.spec, c.latent_size, c.width, c.generator_slope)
        discriminator = dcgan_discriminator(self.spec, c.width, c.batch_norm)
        return generator, spectrally_normalized(discriminator) if c.spectral_norm else discriminator

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        self.begin_step(progress)
        real = batch["train"].images
        fake = self.generator(self.training_latents(len(real)))
        logs: dict[str, Tensor] = {}
        for share in zip(self.d_minibatches(real), self.d_minibatches(fake.detach()), strict=True):
            logs |= self.train_discriminator(*share, progress)
        logs |= self.train_generator(real, fake)
        self.update_average(progress, len(real))
        return logs | {"training/diversity": diversity(fake, self.squashed(real))}

    def train_discriminator(self, real: Tensor, fake: Tensor, progress: Progress) -> dict[str, Tensor]:
        """One step of D on real and generated images."""
        real, fake = self.judged(real, fake, progress)
        real_scores, fake_scores = self.discriminate(real, fake)
        loss = self.loss.discriminator(real_scores, fake_scores)
        penalty, logs = self.penalty((real, real_scores), (fake, fake_scores), progress)
        self.update(self.discriminator_optimizer, loss + penalty)
        return {
            "loss/discriminator": loss.detach(),
            **logs,
            "training/real_score": real_scores.detach().mean(),
            "training/fake_score": fake_scores.detach().mean(),
        }

    def train_generator(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """One step of G down what D now says of its images, perhaps beside the real ones."""
        loss = self.generator_loss(self.discriminate_fake(fake), real)
        gradient = self.update_generator(loss, fake)
        return {"loss/generator": loss.detach(), "training/generator_gradient": gradient}
