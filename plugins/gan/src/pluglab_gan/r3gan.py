"""R3GAN: a regularized relativistic GAN of modern networks (Huang et al. 2024, arXiv:2501.05441)."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from pluglab.components import Component, Reference, named
from pluglab_gan import r3gan_networks as networks
from pluglab_gan.dcgan import DCGAN
from pluglab_gan.options import GANOptions, Optimizer, adam


class R3GAN(DCGAN):
    """DCGAN's step with the relativistic loss and both penalties, on residual networks without normalization.

    By default narrow, for a CPU. The paper's have a `width` of 384 for 64 pixels, 96 for 256 pixels, and a
    `largest_width` of 768. Its schedules all run with a cosine over the training: rates to a quarter,
    penalties and 1 - beta2 to a tenth.
    """

    class Config(GANOptions):
        loss: Annotated[Component, Reference("gan_loss")] = named("relativistic")
        """What D and G descend; the paper's is the relativistic loss."""
        generator_optimizer: Optimizer = adam(2e-4, (0.0, 0.9))
        """The optimizer of G, with its own learning rate."""
        discriminator_optimizer: Optimizer = adam(2e-4, (0.0, 0.9))
        """The optimizer of D, with its own learning rate."""
        schedule: Annotated[Component, Reference("schedule")] = named("one_cycle", warmup=0.0, end=0.25)
        """Multiplier of both learning rates over training progress."""
        beta2_schedule: Annotated[Component, Reference("schedule")] = named("one_cycle", warmup=0.0, end=0.1)
        """Multiplier of 1 - beta2 of both optimizers over training progress, for those that have `betas`."""
        r1: float = Field(2.0, ge=0)
        """Weight of the squared gradient of D at real images (Mescheder et al. 2018)."""
        r2: float = Field(2.0, ge=0)
        """Weight of the squared gradient of D at generated images (Mescheder et al. 2018)."""
        penalty_schedule: Annotated[Component, Reference("schedule")] = named(
            "one_cycle", warmup=0.0, end=0.1
        )
        """Multiplier of `r1` and `r2` over training progress."""
        latent_size: int = Field(64, ge=1)
        """Numbers that an image is made from."""
        width: int = Field(16, ge=8, multiple_of=8)
        """Channels of the largest feature maps. They double each time the size is halved."""
        largest_width: int = Field(128, ge=8, multiple_of=8)
        """Channels that no feature map has more of."""
        blocks: int = Field(2, ge=1)
        """Residual blocks at each size."""
        expansion: int = Field(2, ge=1)
        """Within a block there are so many times the channels."""
        group_size: int = Field(16, ge=1)
        """Channels of a group of a block's 3 x 3 convolution."""

        @model_validator(mode="after")
        def _in_groups(self) -> Self:
            if any(width * self.expansion % self.group_size for width in (self.width, self.largest_width)):
                widths = "width and largest_width, each times expansion,"
                raise ValueError(f"{widths} should be multiples of group_size, {self.group_size}")
            return self

    config: Config  # type: ignore[assignment]

    def make_networks(self) -> tuple[nn.Module, nn.Module]:
        shape = self.shape()
        generator = networks.generator(self.spec, self.config.latent_size, shape)
        return generator, networks.discriminator(self.spec, shape)

    def shape(self) -> networks.Shape:
        """How large both networks are. Raises `UserError` for images that they cannot be made for."""
        c = self.config
        widths = networks.widths(self.spec, c.width, c.largest_width)
        return networks.Shape(widths, c.blocks, c.expansion, c.group_size)

    def shown(self, made: Tensor) -> Tensor:
        """Images in [-1, 1], outside of which G's may lie."""
        return super().shown(made).clamp(-1, 1)
