"""The networks of StyleGAN2-lite: what is printed of them, and what styles, noise and mixing do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pluglab_gan.latents import drawn
from pluglab_gan.modulated import double_size
from pluglab_gan.stylegan2_networks import (
    Discriminator,
    DiscriminatorBlock,
    Generator,
    Mapping,
    Synthesis,
    draw_noise,
)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def small(size=32, start="constant", mixing=0.0, heads=1):
    torch.manual_seed(0)
    mapping = Mapping(6, depth=2, lr_multiplier=0.1)
    return Generator(mapping, Synthesis(size, 3, 6, 2, start, heads), mixing)


def noise_of(network, n=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return draw_noise(n, len(network.synthesis.blocks), torch.device("cpu"), generator)


# The printed networks -----------------------------------------------------------------------------


def attention(c):
    norms, qkv, out = 4 * c, c * 512 + 9 * c + c * 1024, 512 * c + c
    return norms + qkv + out + (c * 2 * c + 2 * c) + (2 * c * c + c)


def conv(i, o, k=3):
    return i * o * k * k + o


def generator_block(i, o):
    """Two style layers, whose noise has a strength and which have a bias for each channel, and toRGB."""
    layers = [(512 * a + a) + a * o * 9 + 2 * o for a in (i, o)]
    return sum(layers) + (512 * o + o) + o * 3


def discriminator_block(i, o, last=False):
    return conv(i, o, 1) + conv(i, o) + conv(o, o) + (0 if last else conv(o, o))


def test_parameter_counts_are_those_of_the_printed_layers():
    mapping = 8 * (512 * 512 + 512)
    blocks = [(512, 512), (512, 256), (256, 128), (128, 64), (64, 32)]
    synthesis = 512 * 16 + conv(512, 512) + sum(generator_block(*b) for b in blocks) + attention(64)
    blocks = [(3, 64), (64, 128), (128, 256), (256, 512), (512, 512)]
    discriminator = sum(discriminator_block(*b) for b in blocks) + discriminator_block(512, 512, last=True)
    discriminator += attention(64) + conv(512, 512) + (2048 + 1)
    with torch.device("meta"):
        assert count(Mapping(512, 8, 0.1)) == mapping == 2_101_248
        assert count(Synthesis(64, 3, 512, 64, "constant", 8)) == synthesis == 11_365_088
        assert count(Discriminator(64, 3, 64, 8)) == discriminator == 22_827_713


def test_a_start_from_the_style_is_a_transposed_convolution_without_bias():
    with torch.device("meta"):
        constant, style = (Synthesis(64, 3, 512, 64, start, 8) for start in ("constant", "style"))
    assert count(style) - count(constant) == 512 * 512 * 16 - 512 * 16


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("start", ["constant", "style"])
def test_images_come_out_and_go_in_at_every_size(size, start):
    network = small(size, start)
    images = network(torch.randn(2, 6))
    assert images.shape == (2, 3, size, size)
    assert Discriminator(size, 3, 2, 1)(images).shape == (2,)


def test_a_shortcut_is_a_strided_1x1_convolution():
    torch.manual_seed(0)
    block = DiscriminatorBlock(3, 4, halve=True).double()
    last: Any = block.main[-1]
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    x = torch.randn(2, 3, 8, 8, dtype=torch.double)
    strided = F.conv2d(x, block.shortcut.weight, block.shortcut.bias, stride=2)
    torch.testing.assert_close(block(x), strided / 2**0.5)


def test_no_convolution_of_kernel_1_has_a_stride():
    """In float32 and channels_last the backward pass of one of 3 channels corrupts memory in torch 2.15."""
    layers = [m for m in Discriminator(64, 3, 4, 1).modules() if isinstance(m, nn.Conv2d)]
    assert {layer.stride for layer in layers if layer.kernel_size == (1, 1)} == {(1, 1)}


def test_discriminator_scores_start_near_zero():
    """So that neither loss starts in its flat part."""
    torch.manual_seed(0)
    assert Discriminator(64, 3, 16, 1)(torch.rand(8, 3, 64, 64) * 2 - 1).abs().max() < 1


# Styles -------------------------------------------------------------------------------------------


def test_the_length_of_a_latent_does_not_matter():
    mapping, z = Mapping(6, 3, 0.1).double().eval(), torch.randn(4, 6, dtype=torch.double)
    torch.testing.assert_close(mapping(z), mapping(3 * z), rtol=1e-4, atol=1e-4)


def test_the_mean_style_is_the_plain_mean_of_the_first_batches_and_then_follows():
    mapping = Mapping(6, 2, 0.1)
    means = [mapping(torch.randn(5, 6)).mean(0) for _ in range(4)]
    torch.testing.assert_close(mapping.mean, torch.stack(means).mean(0))
    mapping.eval()(torch.randn(5, 6))
    torch.testing.assert_close(mapping.mean, torch.stack(means).mean(0))
    mapping.batches.fill_(10_000)
    before, new = mapping.mean.clone(), mapping.train()(torch.randn(5, 6)).mean(0)
    torch.testing.assert_close(mapping.mean, 0.998 * before + 0.002 * new)


def test_truncation_moves_styles_towards_the_mean_style():
    network = small().eval()
    network.mapping.mean.normal_()
    z, noise, mean = torch.randn(2, 6), noise_of(small()), network.mapping.mean
    halfway = mean + 0.5 * (network.mapping(z) - mean)
    expected = network.synthesis(network.repeated(halfway), noise)
    torch.testing.assert_close(network(z, None, noise, 0.5), expected)


def test_mixed_styles_change_once_on_the_way_and_as_often_as_asked():
    network, n = small(size=64, mixing=0.9), 2000
    z = torch.randn(n, 6)
    styles = network.mixed(z)
    own = styles.isclose(network.mapping(z)[:, None], atol=1e-6).all(2)
    assert own[:, 0].all()
    changes = (own[:, 1:] != own[:, :-1]).sum(1)
    assert changes.max() == 1
    # 0.9 of 2000: a standard deviation of 0.0067; each of the four places equally often, 0.0093.
    assert changes.float().mean().item() == pytest.approx(0.9, abs=0.03)
    first_other = own[changes == 1].float().sum(1)
    for place in range(1, 5):
        assert (first_other == place).float().mean().item() == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_second_styles_are_of_latents_distributed_as_the_first(distribution):
    """A mapping without layers, in which only the distribution of z can be seen."""
    network, n = small(mixing=1.0), 4000
    network.mapping.layers = nn.ModuleList()
    network.latents = distribution
    seen = []
    network.mapping.register_forward_hook(lambda m, inputs, out: seen.append(inputs[0]))
    network.mixed(torch.zeros(n, 6))
    second = seen[0][n:]
    expected = {"normal": (4.5, 1.0), "uniform": (1.0, 3**-0.5)}[distribution]
    assert second.abs().max().item() == pytest.approx(expected[0], rel=0.25 if expected[0] > 1 else 0.01)
    assert second.std().item() == pytest.approx(expected[1], rel=0.02)


def test_normal_second_latents_are_the_numbers_that_randn_draws():
    torch.manual_seed(0)
    expected = torch.randn(5, 6)
    torch.manual_seed(0)
    assert torch.equal(drawn("normal", torch.empty(5, 6)), expected)


def test_only_training_mixes():
    network, noise = small(mixing=1.0), noise_of(small())
    z = torch.randn(3, 6)
    assert not torch.equal(network(z, None, noise), network(z, None, noise))
    network.eval()
    assert torch.equal(network(z, None, noise), network(z, None, noise))


def test_a_style_acts_on_its_own_block_only_and_on_those_after_it():
    network = small().double()
    styles = torch.randn(1, 4, 6, dtype=torch.double, requires_grad=True)
    noise = [one.double() for one in noise_of(network)]
    parts = []
    for block in network.synthesis.blocks:
        block.register_forward_hook(lambda m, i, out: parts.append(out[1]))
    network.synthesis(styles, noise)
    for i, part in enumerate(parts):
        (gradient,) = torch.autograd.grad(part.sum(), styles, retain_graph=True)
        assert gradient[0, : i + 1].abs().amax(1).gt(0).all()
        assert gradient[0, i + 1 :].eq(0).all()
    assert len(parts) == 4


def test_the_start_reads_the_mean_style_only_where_it_is_asked_to():
    styles = torch.randn(2, 4, 6)
    constant, made = (small(start=start).synthesis.start for start in ("constant", "style"))
    assert constant(styles).shape == (1, 8, 4, 4)
    assert made(styles).shape == (2, 8, 4, 4)
    torch.testing.assert_close(made(styles), made(styles.flip(1)))


# Noise and the image ------------------------------------------------------------------------------


def test_noise_has_no_strength_at_the_start_and_a_strength_for_each_channel():
    network, z = small().eval(), torch.randn(2, 6)
    first, second = noise_of(network, seed=0), noise_of(network, seed=1)
    assert torch.equal(network(z, None, first), network(z, None, second))
    layer = network.synthesis.blocks[1].first
    with torch.no_grad():
        layer.noise_strength[0] = 1.0
    seen = []
    layer.register_forward_hook(lambda m, i, out: seen.append(out))
    assert not torch.equal(network(z, None, first), network(z, None, second))
    changed = (seen[0] != seen[1]).any(0).flatten(1).any(1)
    assert changed.tolist() == [True] + [False] * (len(changed) - 1)


def test_noise_is_a_function_of_its_generator():
    network = small()
    once, again, other = noise_of(network, 2), noise_of(network, 2), noise_of(network, 2, seed=1)
    assert [tuple(one.shape) for one in once] == [(2, 2, side, side) for side in (4, 8, 16, 32)]
    assert all(map(torch.equal, once, again))
    assert not any(map(torch.equal, once, other))


def test_the_image_is_the_sum_of_what_each_block_adds_doubled_and_blurred_on_the_way():
    network = small().eval()
    synthesis, parts = network.synthesis, []
    for block in synthesis.blocks:
        block.register_forward_hook(lambda m, i, out: parts.append(out[1]))
    image = network(torch.randn(2, 6))
    total = torch.zeros_like(image)
    for i, part in enumerate(parts):
        for _ in parts[i + 1 :]:
            part = synthesis.blur(double_size(part))
        total = total + part
    torch.testing.assert_close(image, total)


def test_images_are_float32_in_bf16_too():
    network = small()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert network(torch.randn(2, 6)).dtype == torch.float32
