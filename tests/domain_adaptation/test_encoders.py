from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from pluglab.errors import UserError
from pluglab.recipe.resolve import make

from .conftest import spec_of

ENCODERS = ["dann_i", "dann_ii", "dann_iii", "modern", "lenet", "dsn_paper"]


def count(*networks: nn.Module) -> int:
    return sum(p.numel() for network in networks for p in network.parameters())


def total(registry, name: str, size: int = 28) -> int:
    encoder = make(registry, "encoder", name).build(spec_of(size))
    return count(encoder.features(), encoder.classifier(10), encoder.discriminator())


def convolution(i: int, o: int, k: int, bias: bool = True) -> int:
    return i * o * k * k + (o if bias else 0)


def linear(*sizes: int) -> int:
    return sum(i * o + o for i, o in pairwise(sizes))


def norms(*sizes: int) -> int:
    return sum(2 * s for s in sizes)


def test_dann_ii_has_the_printed_number_of_parameters(registry):
    assert total(registry, "dann_ii") == 355_164


def test_parameter_counts_follow_the_printed_layers(registry):
    one = convolution(3, 32, 5) + convolution(32, 48, 5) + norms(32, 48)
    one += linear(768, 384, 192, 10) + norms(384, 192) + linear(768, 384, 2) + norms(384)
    assert total(registry, "dann_i") == one
    widths = [3, 64, 128, 256, 256, 512]
    three = sum(convolution(i, o, 3) for i, o in pairwise(widths)) + norms(*widths[1:])
    three += linear(512, 256, 10) + linear(512, 256, 128, 1)
    assert total(registry, "dann_iii") == three
    widths = [3, 32, 32, 64, 64, 128, 128]
    six = sum(convolution(i, o, 3, bias=False) for i, o in pairwise(widths))
    six += norms(*widths[1:]) + linear(512, 128, 10) + linear(512, 256, 2)
    assert total(registry, "modern") == six


def test_lenet_and_the_dsn_networks_follow_the_printed_layers(registry):
    lenet = convolution(3, 20, 5) + convolution(20, 50, 5) + linear(800, 500, 10)
    assert total(registry, "lenet") == lenet + linear(500, 200, 200, 2)
    shared = convolution(3, 32, 5) + convolution(32, 48, 5) + linear(7 * 7 * 48, 100)
    assert total(registry, "dsn_paper") == shared + linear(100, 100, 10) + linear(100, 100, 2)
    private = make(registry, "encoder", "dsn_paper").build(spec_of()).private_features()
    assert count(private) == convolution(3, 32, 5) + convolution(32, 64, 5) + linear(7 * 7 * 64, 100)
    decoder = make(registry, "decoder", "dsn_paper").build(100, spec_of())
    drawn = convolution(3, 16, 5) + convolution(16, 16, 5) + convolution(16, 16, 3) + convolution(16, 3, 3)
    assert count(decoder) == linear(100, 588) + drawn


@pytest.mark.parametrize(("size", "channels"), [(28, 3), (32, 3), (28, 1), (27, 1)])
def test_the_decoder_draws_images_of_the_asked_for_size(registry, size, channels):
    decoder = make(registry, "decoder", "dsn_paper").build(100, spec_of(size, channels))
    assert decoder(torch.zeros(2, 100)).shape == (2, channels, size, size)


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("size", [28, 32])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_encoder_takes_digits_of_both_sizes_in_gray_and_color(registry, name, size, channels):
    encoder = make(registry, "encoder", name).build(spec_of(size, channels))
    features = encoder.features()(torch.zeros(2, channels, size, size))
    assert features.shape == (2, encoder.out_features)
    assert encoder.classifier(7)(features).shape == (2, 7)
    assert encoder.discriminator()(features).shape[1] in (1, 2)


@pytest.mark.parametrize("name", ["dann_i", "dann_ii"])
def test_the_papers_features_are_768_wide_at_28_pixels(registry, name):
    assert make(registry, "encoder", name).build(spec_of(28)).out_features == 768


@pytest.mark.parametrize("name", ENCODERS)
def test_images_too_small_for_an_encoder_are_a_clear_error(registry, name):
    with pytest.raises(UserError, match="cannot take images of 3 x 3") as error:
        make(registry, "encoder", name).build(spec_of(3))
    assert "size" in error.value.help[0]


def test_measuring_the_features_draws_no_random_numbers(registry):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    make(registry, "encoder", "modern").build(spec_of())
    assert torch.equal(torch.get_rng_state(), before)


def test_pooling_of_dann_iii_is_an_option_and_changes_no_parameter(registry):
    full = make(registry, "encoder", "dann_iii", pool_after=[]).build(spec_of(8)).features()
    assert not any(isinstance(m, nn.MaxPool2d) for m in full)
    assert count(full) == count(make(registry, "encoder", "dann_iii").build(spec_of(8)).features())
