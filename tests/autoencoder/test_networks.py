"""The printed layers and their parameters; other sizes; images that the networks are not made for."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pluglab.errors import UserError
from pluglab.recipe.resolve import make
from tests.layers import operations

from .conftest import spec_of


def networks(registry, size=64, channels=3, latent_size=256, width=0, **options):
    spec = spec_of(size, channels, width)
    built = make(registry, "autoencoder", "convolutional", **options).build(spec, latent_size)
    return built.encoder(), built.decoder(nn.Identity())


def convolutions(network: nn.Module) -> list[tuple[int | str, ...]]:
    """(inputs, outputs, kernel, stride, padding) of each."""
    found = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))]
    return [(m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0], m.padding[0]) for m in found]


def test_the_layers_for_64_pixels_are_the_printed_ones(registry) -> None:
    encoder, decoder = networks(registry, norm="none")
    down = [(3, 32), (32, 128), (128, 256), (256, 64)]
    assert convolutions(encoder) == [(*pair, 4, 2, 1) for pair in down]
    up = [(512, 128), (128, 32), (32, 16), (16, 3)]
    assert convolutions(decoder) == [(256, 512, 4, 1, 0), *((*pair, 4, 2, 1) for pair in up)]
    count = [sum(p.numel() for p in network.parameters()) for network in (encoder, decoder)]
    linear = 2 * (1024 * 256 + 256)
    assert count[0] == sum(16 * a * b + b for a, b in down) + linear == 1_378_784
    assert count[1] == sum(16 * a * b + b for a, b in [(256, 512), *up]) == 3_220_915
    assert not any(isinstance(m, nn.BatchNorm2d) for m in [*encoder.modules(), *decoder.modules()])


def test_the_layers_for_64_pixels_act_in_the_printed_order(build) -> None:
    """The two linear layers, for mean and log-variance, are one of twice the width."""
    networks = {"name": "convolutional", "norm": "none"}
    options = {"networks": networks, "latent_size": 256, "likelihood": {"name": "gaussian"}}
    listed = build(spec=spec_of(64, 3), **options).networks()
    found = {name: operations(network, *inputs) for name, (network, inputs) in listed.items()}
    encoder = """conv(3,32,4,2,1) relu conv(32,128,4,2,1) relu conv(128,256,4,2,1) relu
        conv(256,64,4,2,1) relu linear(1024,512)"""
    decoder = """convT(256,512,4,1,0) relu convT(512,128,4,2,1) relu convT(128,32,4,2,1) relu
        convT(32,16,4,2,1) relu convT(16,3,4,2,1) sigmoid"""
    assert found == {"encoder": encoder.split(), "decoder": decoder.split()}


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize(("size", "channels"), [(8, 1), (16, 3), (28, 1), (31, 1), (32, 3), (50, 1), (64, 3)])
def test_every_size_comes_out_as_it_went_in(registry, size: int, channels: int, norm: str) -> None:
    encoder, decoder = networks(registry, size, channels, 6, norm=norm)
    mean, log_variance = encoder(torch.rand(2, channels, size, size))
    assert mean.shape == log_variance.shape == (2, 6)
    assert decoder(mean).shape == (2, channels, size, size)


def test_smaller_images_keep_the_width_of_their_resolution(registry) -> None:
    large, small = networks(registry, 64), networks(registry, 16)
    assert convolutions(small[0])[1:] == convolutions(large[0])[3:]
    assert convolutions(small[1])[:-1] == convolutions(large[1])[:2]


def test_28_pixels_are_padded_with_their_border_and_cut_out_again(registry) -> None:
    encoder, decoder = networks(registry, 28, 1, 6)
    encoder.eval(), decoder.eval()
    images = torch.rand(2, 1, 28, 28)
    row = torch.tensor([0, 0, *range(28), 27, 27])
    padded = images[:, :, row][:, :, :, row]
    torch.testing.assert_close(torch.cat(encoder(images), 1), encoder.layers(padded))
    z = torch.randn(2, 6)
    assert torch.equal(decoder(z), decoder.layers(z[:, :, None, None])[:, :, 2:-2, 2:-2])


@pytest.mark.parametrize(
    ("size", "width", "words"),
    [
        (4, 0, "images of 4 x 4: it wants squares of 8 to"),
        (65, 0, "65 x 65: it wants squares of 8 to 64"),
        (32, 16, "images of 32 x 16: it wants squares of 8 to"),
    ],
)
def test_images_that_the_networks_are_not_made_for(registry, size: int, width: int, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        networks(registry, size, width=width)
    assert caught.value.help


def test_more_widths_make_larger_images(registry) -> None:
    wide = {"encoder_channels": [4] * 5, "decoder_channels": [4] * 5}
    encoder, decoder = networks(registry, 128, 1, 6, **wide)
    assert decoder(encoder(torch.rand(2, 1, 128, 128))[0]).shape == (2, 1, 128, 128)
