"""SAGAN: self-attention generative adversarial networks (Zhang et al. 2019, arXiv:1805.08318)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import nn

from pluglab.components import Component, Reference, named
from pluglab_gan.dcgan import DCGAN
from pluglab_gan.networks import sagan_discriminator, sagan_generator
from pluglab_gan.options import GANOptions, Optimizer, adam


class SAGAN(DCGAN):
    """DCGAN's step on networks with spectral normalization in both and self-attention in two places of each.

    Hinge loss, and a faster rate for D than for G (section 4.2: two time scales).
    """

    class Config(GANOptions):
        loss: Annotated[Component, Reference("gan_loss")] = named("hinge")
        """What D and G descend; the paper's is the hinge loss."""
        generator_optimizer: Optimizer = adam(1e-4, (0.0, 0.9))
        """The optimizer of G; the paper's by default."""
        discriminator_optimizer: Optimizer = adam(4e-4, (0.0, 0.9))
        """The optimizer of D; the paper's by default."""
        latent_size: int = Field(128, ge=1)
        """Numbers that an image is made from."""
        width: int = Field(64, ge=8, multiple_of=8)
        """Channels of the largest feature maps; the smallest have 8 times as many."""
        attention_pooling: bool = True
        """Attend to the largest of each 2 x 2 keys and values, as the authors' code does."""

    config: Config  # type: ignore[assignment]

    def make_networks(self) -> tuple[nn.Module, nn.Module]:
        c = self.config
        generator = sagan_generator(self.spec, c.latent_size, c.width, c.attention_pooling)
        return generator, sagan_discriminator(self.spec, c.width, c.attention_pooling)
