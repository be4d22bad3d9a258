from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from pluglab.errors import UserError
from pluglab.recipe.resolve import make
from pluglab_domain_adaptation.encoders.base import pooled

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


def layers(network: nn.Module) -> str:
    """The layers of a network in their order, as they are written in papers."""
    return ", ".join(printed(m) for m in network.modules() if not list(m.children()))


def printed_order(text: str) -> str:
    """A maximum and a rectifier, which may change places, in one of the two orders."""
    return text.replace("pool 2, relu", "relu, pool 2")


def printed(layer: nn.Module) -> str:
    name = type(layer).__name__.lower()
    match layer:
        case nn.Conv2d():
            bias, padding = "" if layer.bias is not None else " !b", f" p{layer.padding[0]}"
            return f"conv {layer.in_channels} {layer.out_channels} {layer.kernel_size[0]}{padding}{bias}"
        case nn.Linear():
            return f"linear {layer.in_features} {layer.out_features}"
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            assert (layer.momentum, layer.eps) == (0.1, 1e-5)
            return f"bn {layer.num_features}"
        case nn.Dropout() | nn.Dropout2d():
            return f"{name} {layer.p}"
        case nn.MaxPool2d():
            return f"pool {layer.kernel_size}"
        case nn.LeakyReLU():
            return f"lrelu {layer.negative_slope}"
        case nn.AdaptiveAvgPool2d():
            return f"mean {layer.output_size}"
    return name


# Each preset's layers in the order in which they are printed, of color images of 28 x 28.
PRINTED = {
    "dann_i": (
        "conv 3 32 5 p0, bn 32, relu, pool 2, conv 32 48 5 p0, bn 48, dropout2d 0.5, relu, pool 2, flatten",
        "linear 768 384, bn 384, relu, linear 384 192, bn 192, relu, linear 192 10",
        "linear 768 384, bn 384, relu, linear 384 2",
    ),
    "dann_ii": (
        "conv 3 64 5 p0, bn 64, relu, pool 2, conv 64 48 5 p0, bn 48, dropout2d 0.3, relu, pool 2, flatten",
        "dropout 0.3, linear 768 192, bn 192, mish, dropout 0.3, linear 192 128, bn 128, mish, linear 128 10",
        "dropout 0.3, linear 768 128, bn 128, mish, linear 128 2",
    ),
    # Printed without its pooling, which is an option here.
    "dann_iii": (
        "conv 3 64 3 p1, bn 64, relu, conv 64 128 3 p1, bn 128, relu, conv 128 256 3 p1, bn 256, relu, "
        "conv 256 256 3 p1, bn 256, relu, conv 256 512 3 p1, bn 512, relu, mean 1, flatten",
        "linear 512 256, relu, linear 256 10",
        "linear 512 256, lrelu 0.2, linear 256 128, lrelu 0.2, linear 128 1",
    ),
    "lenet": (
        "conv 3 20 5 p0, pool 2, relu, conv 20 50 5 p0, dropout2d 0.5, pool 2, relu, flatten, linear 800 500",
        "relu, linear 500 10",
        "linear 500 200, relu, linear 200 200, relu, linear 200 2",
    ),
    "dsn_paper": (
        "conv 3 32 5 p2, relu, pool 2, conv 32 48 5 p2, relu, pool 2, flatten, linear 2352 100, relu",
        "linear 100 100, relu, linear 100 10",
        "linear 100 100, relu, linear 100 2",
    ),
}


@pytest.mark.parametrize("name", PRINTED)
def test_layers_stand_in_the_printed_order(registry, name):
    options = {"pool_after": []} if name == "dann_iii" else {}
    encoder = make(registry, "encoder", name, **options).build(spec_of())
    found = encoder.features(), encoder.classifier(10), encoder.discriminator()
    assert tuple(printed_order(layers(part)) for part in found) == tuple(map(printed_order, PRINTED[name]))


def test_the_private_encoder_and_the_decoder_of_dsn_stand_in_the_printed_order(registry):
    private = make(registry, "encoder", "dsn_paper").build(spec_of()).private_features()
    drawn = make(registry, "decoder", "dsn_paper").build(100, spec_of())
    first = "conv 3 32 5 p2, relu, pool 2, conv 32 64 5 p2, relu, pool 2, flatten, linear 3136 100, relu"
    assert printed_order(layers(private)) == first
    assert layers(drawn) == (
        "linear 100 588, relu, conv 3 16 5 p2, relu, conv 16 16 5 p2, relu, upsample, conv 16 16 3 p1, relu, "
        "conv 16 3 3 p1"
    )


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


@pytest.mark.parametrize(
    ("size", "channels"), [((28, 28), 3), ((32, 32), 3), ((28, 28), 1), ((27, 27), 1), ((20, 31), 4)]
)
def test_the_decoder_draws_images_of_the_asked_for_size(registry, size, channels):
    decoder = make(registry, "decoder", "dsn_paper").build(100, spec_of(size, channels))
    assert decoder(torch.zeros(2, 100)).shape == (2, channels, *size)


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("size", [(28, 28), (32, 32), (16, 41), (33, 18)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_encoder_takes_images_of_any_shape(registry, name, size, channels):
    encoder = make(registry, "encoder", name).build(spec_of(size, channels))
    features = encoder.features()(torch.zeros(2, channels, *size))
    assert features.shape == (2, encoder.out_features)
    assert encoder.classifier(7)(features).shape == (2, 7)
    assert encoder.discriminator()(features).shape[1] in (1, 2)


@pytest.mark.parametrize("name", ["dann_i", "dann_ii"])
def test_the_papers_features_are_768_wide_at_28_pixels(registry, name):
    assert make(registry, "encoder", name).build(spec_of(28)).out_features == 768


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("size", [(3, 3), (3, 40), (40, 3)])
def test_images_too_small_for_an_encoder_are_a_clear_error(registry, name, size):
    with pytest.raises(UserError, match=f"cannot take images of {size[0]} x {size[1]}") as error:
        make(registry, "encoder", name).build(spec_of(size))
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


@pytest.mark.parametrize("rectifier", [nn.ReLU(), nn.LeakyReLU(0.1)])
def test_the_largest_is_rectified_as_the_rectified_largest(rectifier: nn.Module) -> None:
    """`pooled` may swap the two, value by value and gradient by gradient."""
    images = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    plain, swapped = (images.clone().requires_grad_() for _ in range(2))
    expected = nn.MaxPool2d(2)(rectifier(plain))
    found = nn.Sequential(*pooled(rectifier))(swapped)
    assert torch.equal(found, expected)
    weights = torch.randn_like(expected)
    (expected * weights).sum().backward()
    (found * weights).sum().backward()
    assert swapped.grad is not None and plain.grad is not None
    assert torch.equal(swapped.grad, plain.grad)
