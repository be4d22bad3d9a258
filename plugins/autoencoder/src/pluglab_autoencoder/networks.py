"""Networks of autoencoders (kind `autoencoder`): from images to a latent normal distribution, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal, Protocol

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pluglab.components import Options
from pluglab.protocols import ImageSpec
from pluglab.training.convolutions import ConvTranspose2d

Channels = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]


class Autoencoder(Protocol):
    """What the trainer asks of a component of this kind."""

    def __init__(self, config: Any, spec: ImageSpec, latent_size: int) -> None: ...

    def encoder(self) -> nn.Module:
        """A new network, images N x C x H x W to the mean and the log-variance of q(z|x), N x Z each."""
        ...

    def decoder(self, head: nn.Module) -> nn.Module:
        """A new network, latents N x Z to what `head` makes of N x C x H x W."""
        ...


class Convolutional:
    """Convolutions of kernel 4 and stride 2 down to 4 x 4, and transposed ones back.

    For 64 pixels they are 3-32-128-256-64 and 512-128-32-16-3. A smaller image has fewer blocks, with the
    same width at the same resolution; one whose sides are not 4, 8, 16, ... is padded to such a size by
    repeating its border, and cut out of the reconstruction.
    """

    class Config(Options):
        encoder_channels: Channels = (32, 128, 256, 64)
        """Widths from the largest resolution down; an image of 4 x 2^n pixels takes the last n."""
        decoder_channels: Channels = (512, 128, 32, 16)
        """Widths from 4 x 4 up; an image of 4 x 2^n pixels takes the first n."""
        norm: Literal["none", "batch"] = "batch"
        """Normalization after every convolution but the last of the decoder."""

    def __init__(self, config: Config, spec: ImageSpec, latent_size: int) -> None:
        self.config, self.spec, self.latent_size = config, spec, latent_size
        blocks = _blocks(spec, len(config.encoder_channels), len(config.decoder_channels))
        self.size = 4 * 2**blocks
        self.down = config.encoder_channels[-blocks:]
        self.up = config.decoder_channels[:blocks]

    def encoder(self) -> nn.Module:
        """Images N x C x H x W to mean and log-variance, N x Z each."""
        widths = (self.spec.channels, *self.down)
        blocks = [
            layer
            for a, b in pairwise(widths)
            for layer in self._block(nn.Conv2d(a, b, 4, 2, 1, bias=self._bias))
        ]
        linear = nn.Linear(self.down[-1] * 16, 2 * self.latent_size)
        return _Encoder(_padding(self.spec.height, self.size), nn.Sequential(*blocks, nn.Flatten(), linear))

    def decoder(self, head: nn.Module) -> nn.Module:
        """Latents N x Z to what `head` makes of N x C x H x W."""
        first = ConvTranspose2d(self.latent_size, self.up[0], 4, 1, 0, bias=self._bias)
        blocks = [*self._block(first)]
        for a, b in pairwise(self.up):
            blocks += self._block(ConvTranspose2d(a, b, 4, 2, 1, bias=self._bias))
        last = ConvTranspose2d(self.up[-1], self.spec.channels, 4, 2, 1)
        return _Decoder(nn.Sequential(*blocks, last), _padding(self.spec.height, self.size), head)

    @property
    def _bias(self) -> bool:
        return self.config.norm == "none"

    def _block(self, convolution: nn.Conv2d | nn.ConvTranspose2d) -> Sequence[nn.Module]:
        norm = [nn.BatchNorm2d(convolution.out_channels)] if self.config.norm == "batch" else []
        return convolution, *norm, nn.ReLU()


class _Encoder(nn.Module):
    def __init__(self, padding: tuple[int, int], layers: nn.Module) -> None:
        super().__init__()
        self.padding, self.layers = padding, layers

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        if any(self.padding):
            images = F.pad(images, self.padding * 2, mode="replicate")
        mean, log_variance = self.layers(images).chunk(2, dim=1)
        return mean, log_variance


class _Decoder(nn.Module):
    def __init__(self, layers: nn.Module, padding: tuple[int, int], head: nn.Module) -> None:
        super().__init__()
        self.layers, self.padding, self.head = layers, padding, head

    def forward(self, latents: Tensor) -> tuple[Tensor, ...]:
        drawn = self.layers(latents[:, :, None, None])
        if any(self.padding):
            drawn = F.pad(drawn, [-width for width in self.padding] * 2)
        return self.head(drawn)


def _padding(side: int, size: int) -> tuple[int, int]:
    """Columns to add before and after."""
    return (size - side) // 2, (size - side + 1) // 2


def _blocks(spec: ImageSpec, *widths: int) -> int:
    """How often the image is halved. Raises `UserError` for one that the networks cannot be made for."""
    largest = 4 * 2 ** min(widths)
    blocks = math.ceil(math.log2(spec.height / 4))
    square = spec.height == spec.width and 8 <= spec.height <= largest
    ways = (
        "choose another `size`",
        f"{max(blocks, 1)} widths in each of encoder_channels and decoder_channels",
    )
    spec.require(
        square, "autoencoder 'convolutional'", f"squares of 8 to {largest} pixels", " or ".join(ways)
    )
    return blocks
