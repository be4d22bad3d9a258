"""StyleGAN2-lite: styles in every layer, two lazy regularizers (Karras et al. 2020, arXiv:1912.04958)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import cast

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from pluglab.components import Options, table
from pluglab.errors import UserError
from pluglab.protocols import Batch, ImageSpec, Progress
from pluglab_gan import stylegan2_networks as networks
from pluglab_gan.base import CHUNK, diversity
from pluglab_gan.dcgan import DCGAN
from pluglab_gan.options import GANOptions, Optimizer, adam
from pluglab_gan.penalties import differentiable_twice
from pluglab_gan.stylegan2_path_length import PathLength, path_lengths

SIZES = 32, 64, 128


class Sampling(Options):
    """What may be changed after training."""

    truncation: float = Field(1.0, ge=0, le=1)
    """Share psi of a style's distance to the mean style that is kept: below 1, images are more typical and
    less varied."""


class StyleGAN2Lite(DCGAN):
    """G: latents become styles w, which scale the channels of every convolution; noise adds what is random.

    D and G descend the adversarial loss; every few steps D also the penalty on its gradient, and G the path
    length penalty, each multiplied by the steps between.
    """

    class Config(GANOptions):
        generator_optimizer: Optimizer = adam(2e-4, (0.0, 0.99))
        """The optimizer of G, with its own learning rate."""
        discriminator_optimizer: Optimizer = adam(2e-4, (0.0, 0.99))
        """The optimizer of D, with its own learning rate."""
        latent_size: int = Field(512, ge=1)
        """Numbers that an image is made from, and numbers of its style."""
        r1: float = Field(1.0, ge=0)
        """Weight of the squared gradient of D at real images (Mescheder et al. 2018)."""
        penalty_every: int = Field(4, ge=1)
        """Steps between two of D's penalties; each then counts that many times."""
        width: int = Field(64, ge=2, multiple_of=2)
        """Channels of D's largest feature maps; G's have half as many, and the smallest 8 times as many."""
        attention_heads: int = Field(8, ge=0)
        """Heads of linear attention in D after its first block and in G before its last; 0: no attention."""
        minibatch_deviation: int = Field(0, ge=0)
        """Images in a group whose deviation D's last convolution sees (Karras et al. 2018), which keeps G
        from making them all alike: 4 in the official code. 0: none, as in this layout."""
        start: networks.Start = "constant"
        """What the 4 x 4 start of G is: a learned constant, or a transposed convolution of the style."""
        mapping_depth: int = Field(8, ge=1)
        """Layers between the latent and the style."""
        mapping_rate: float = Field(0.1, gt=0)
        """Learning-rate multiplier of these layers; the paper's is 0.01."""
        style_mixing: float = Field(0.9, ge=0, le=1)
        """Share of training images that take the styles of a second latent from a random block on."""
        path_length: float = Field(2.0, ge=0)
        """Weight of the path-length penalty."""
        path_length_every: int = Field(32, ge=1)
        """Steps between two path-length penalties; each then counts that many times."""
        sampling: Sampling = table()
        """Options of sampling; `lab sample --set` changes them."""

        @field_validator("minibatch_deviation")
        @classmethod
        def _of_several(cls, group: int) -> int:
            if group == 1:
                raise ValueError("should be 0 or at least 2: one image has no deviation")
            return group

    by_share = "the deviation within a batch, and the mean of the styles, are those of a share"
    config: Config  # type: ignore[assignment]
    sampling: Sampling

    def __init__(self, config: Config, data: Mapping[str, ImageSpec]) -> None:
        super().__init__(config, data)
        self.path_length = PathLength()
        self.sampling = config.sampling

    def make_networks(self) -> tuple[nn.Module, nn.Module]:
        c, size, channels = self.config, _size(self.spec), self.spec.channels
        mapping = networks.Mapping(c.latent_size, c.mapping_depth, c.mapping_rate)
        synthesis = networks.Synthesis(size, channels, c.latent_size, c.width, c.start, c.attention_heads)
        self.blocks = len(synthesis.blocks)
        generator = networks.Generator(mapping, synthesis, c.style_mixing, c.latent_distribution)
        group = c.minibatch_deviation
        return generator, networks.Discriminator(size, channels, c.width, c.attention_heads, group)

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        self.begin_step(progress)
        real = batch["train"].images
        shift = self.shift(len(real), progress)
        with nullcontext() if shift is None else differentiable_twice(self.generator):
            fake = self.generator(self.training_latents(len(real)), shift)
        logs: dict[str, Tensor] = {}
        for share in zip(self.d_minibatches(real), self.d_minibatches(fake.detach()), strict=True):
            logs |= self.train_discriminator(*share, progress)
        loss = self.generator_loss(self.discriminate_fake(fake), real)
        penalty, lengths = self.path_penalty(fake, shift, progress)
        gradient = self.update_generator(loss, fake, penalty)
        self.update_average(progress, len(real))
        return {
            **logs,
            **lengths,
            "loss/generator": loss.detach(),
            "training/generator_gradient": gradient,
            "training/diversity": diversity(fake, self.squashed(real)),
        }

    def d_minibatches(self, batch: Tensor) -> Sequence[Tensor]:
        """As for any method. Raises `UserError` also for parts of one image, which has no deviation."""
        parts = super().d_minibatches(batch)
        if self.config.minibatch_deviation and min(map(len, parts)) < 2:
            message = "a step of the discriminator sees one image alone, which has no minibatch_deviation"
            raise UserError(message, help=["raise batch_size, or set minibatch_deviation to 0"])
        return parts

    def shift(self, n: int, progress: Progress) -> Tensor | None:
        """In steps with a path-length penalty: zeros N x blocks x Z that are added to the styles, so that the
        images can be differentiated with respect to them."""
        c = self.config
        if not c.path_length or progress.step % c.path_length_every:
            return None
        return torch.zeros(n, self.blocks, c.latent_size, device=self.fabric.device, requires_grad=True)

    def path_penalty(
        self, fake: Tensor, shift: Tensor | None, progress: Progress
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        """The weighted penalty, and it and the mean length bare, to log; None and nothing without a shift."""
        if shift is None:
            return None, {}
        every = self.config.path_length_every
        lengths = path_lengths(fake, shift, torch.randn_like(fake), self.differentiable_gradient)
        average = cast(Tensor, self.fabric.all_reduce(lengths.detach().mean(), reduce_op="mean"))
        penalty = self.path_length.penalty(lengths, average, progress.step // every)
        logs = {"loss/path_length": penalty.detach(), "training/path_length": average}
        return every * self.config.path_length * penalty, logs

    def generate(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Images of the averaged weights, N x C x H x W in [-1, 1]. All have one noise, the same in every
        call, so that between two images only the latent differs."""
        fixed = networks.draw_noise(1, self.blocks, torch.device("cpu"), torch.Generator().manual_seed(0))
        noise = [one.to(latents.device) for one in fixed]
        return torch.cat([self._images(part, noise) for part in latents.split(CHUNK)])

    def sample(self, n: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
        """n images of the averaged weights, N x C x H x W in [-1, 1], each with noise of its own."""
        parts = []
        for latents in self.latents(n, generator).split(CHUNK):
            noise = networks.draw_noise(len(latents), self.blocks, latents.device, generator)
            parts.append(self._images(latents, noise))
        return torch.cat(parts)

    def _images(self, latents: Tensor, noise: Sequence[Tensor]) -> Tensor:
        return self.shown(self.ema(latents, None, noise, self.sampling.truncation).clamp(-1, 1))


def _size(spec: ImageSpec) -> int:
    """Height and width. Raises `UserError` for images that the networks cannot be made for."""
    whole = spec.height == spec.width and spec.height in SIZES
    spec.require(whole, "trainer 'stylegan2_lite'", "32 x 32, 64 x 64 or 128 x 128")
    return spec.height
