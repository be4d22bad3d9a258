"""Generators and discriminators of strided convolutions, for square images of 16 to 128 pixels.

A generator takes latents N x Z, a discriminator takes images N x C x H x W and returns scores N. Each stage
doubles or halves the size, between 4 x 4 and the image: what the papers print for 64 pixels has a stage more
for 128, and fewer below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from torch import nn

from pluglab.protocols import ImageSpec
from pluglab.training.convolutions import ConvTranspose2d
from pluglab_gan.attention import SelfAttention
from pluglab_gan.spectral import spectrally_normalized

SIZES = (16, 32, 64, 128)


def channels(spec: ImageSpec, width: int) -> list[int]:
    """Channels of the feature maps from 4 x 4 to half the image's size; 8, 4, 2 and 1 times `width` for 64
    pixels. Raises `UserError` for images that stages of doubling do not make."""
    square = spec.height == spec.width and spec.height in SIZES
    spec.require(square, "this network", f"squares of {', '.join(map(str, SIZES))} pixels")
    stages = SIZES.index(spec.height) + 2
    return [width * 2 ** min(stage, 3) for stage in reversed(range(stages))]


def dcgan_generator(
    spec: ImageSpec,
    latent_size: int,
    width: int = 64,
    slope: float = 0.0,
    norm: Callable[[int], nn.Module] = nn.BatchNorm2d,
) -> nn.Sequential:
    """Transposed convolutions with batch norm and ReLU, tanh at the end (Radford et al. 2016). `slope` makes
    the ReLU leaky; `norm` makes another norm of so many channels."""
    first, *rest = sizes = channels(spec, width)
    layers: list[nn.Module] = [_column(latent_size), ConvTranspose2d(latent_size, first, 4, bias=False)]
    layers += [norm(first), rectifier(slope)]
    for before, after in zip(sizes, rest, strict=False):
        layers += [_enlarge(before, after, bias=False), norm(after), rectifier(slope)]
    layers += [_enlarge(sizes[-1], spec.channels, bias=False), nn.Tanh()]
    return initialized(nn.Sequential(*layers))


def dcgan_discriminator(spec: ImageSpec, width: int = 64, batch_norm: bool = True) -> nn.Sequential:
    """Convolutions with leaky ReLU and, but for the first, batch norm (Radford et al. 2016)."""
    trunk = dcgan_trunk(spec, width, batch_norm)
    head = nn.Conv2d(channels(spec, width)[0], 1, 4, bias=not batch_norm)
    return initialized(nn.Sequential(*trunk, head, nn.Flatten(0)))


def dcgan_trunk(spec: ImageSpec, width: int, batch_norm: bool) -> list[nn.Module]:
    """The layers of the discriminator before its last: features of 4 x 4 places."""
    first, *rest = sizes = channels(spec, width)[::-1]
    layers: list[nn.Module] = [_shrink(spec.channels, first, bias=not batch_norm), rectifier(0.2)]
    for before, after in zip(sizes, rest, strict=False):
        norm = [nn.BatchNorm2d(after)] if batch_norm else []
        layers += [_shrink(before, after, bias=not batch_norm), *norm, rectifier(0.2)]
    return layers


def sagan_generator(spec: ImageSpec, latent_size: int, width: int = 64, pooled: bool = True) -> nn.Sequential:
    """Spectrally normalized transposed convolutions with batch norm and ReLU; self-attention over each of the
    two largest feature maps (Zhang et al. 2019)."""
    sizes = channels(spec, width)
    stages: list[nn.Module] = [ConvTranspose2d(latent_size, sizes[0], 4)]
    stages += [_enlarge(before, after) for before, after in pairwise(sizes)]
    layers: list[nn.Module] = [_column(latent_size)]
    for stage, size, attention in zip(stages, sizes, _attentions(sizes, pooled), strict=True):
        layers += [spectrally_normalized(stage), nn.BatchNorm2d(size), nn.ReLU(True), *attention]
    return nn.Sequential(*layers, _enlarge(sizes[-1], spec.channels), nn.Tanh())


def sagan_discriminator(spec: ImageSpec, width: int = 64, pooled: bool = True) -> nn.Sequential:
    """Spectrally normalized convolutions with leaky ReLU; self-attention over each of the two smallest
    feature maps (Zhang et al. 2019)."""
    sizes = channels(spec, width)[::-1]
    layers: list[nn.Module] = []
    for (before, after), attention in zip(
        pairwise([spec.channels, *sizes]), _attentions(sizes, pooled), strict=True
    ):
        layers += [spectrally_normalized(_shrink(before, after)), rectifier(0.1), *attention]
    return nn.Sequential(*layers, nn.Conv2d(sizes[-1], 1, 4), nn.Flatten(0))


def _attentions(sizes: Sequence[int], pooled: bool) -> Iterator[list[nn.Module]]:
    """Self-attention after the last two stages, nothing after the others."""
    for place, size in enumerate(sizes, start=1):
        yield [SelfAttention(size, pooled)] if place > len(sizes) - 2 else []


def rectifier(slope: float) -> nn.Module:
    """ReLU, leaky where the slope is not 0."""
    return nn.LeakyReLU(slope, True) if slope else nn.ReLU(True)


def initialized(network: nn.Sequential) -> nn.Sequential:
    """Weights from N(0, 0.02^2), those of batch norm from N(1, 0.02^2), biases 0 (Radford et al. 2016)."""
    for part in network.modules():
        if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.BatchNorm2d)):
            if part.weight is not None:
                nn.init.normal_(part.weight, 1.0 if isinstance(part, nn.BatchNorm2d) else 0.0, 0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    return network


def _column(latent_size: int) -> nn.Module:
    """N x Z to N x Z x 1 x 1."""
    return nn.Unflatten(1, (latent_size, 1, 1))


def _enlarge(before: int, after: int, bias: bool = True) -> ConvTranspose2d:
    return ConvTranspose2d(before, after, 4, 2, 1, bias=bias)


def _shrink(before: int, after: int, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(before, after, 4, 2, 1, bias=bias)
