"""The layers of StyleGAN2-lite against the equations that they rearrange."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pluglab_gan.linear_attention import AttentionBlock, ChannelNorm, LinearAttention, linear_attention
from pluglab_gan.modulated import Blur, EqualLinear, ModulatedConv, StyleLayer, activate, double_size


def normal(*shape, seed=0, dtype=torch.double):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype).requires_grad_()


def grouped(x, weight, style, demodulate):
    """Equations 1 and 3 as written: each image has weights of its own, so a group for each."""
    n, channels, height, width = x.shape
    weights = weight[None] * style[:, None, :, None, None]
    if demodulate:
        weights = weights / (weights.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()
    flat = weights.reshape(-1, channels, *weight.shape[2:])
    out = F.conv2d(x.reshape(1, -1, height, width), flat, padding=weight.shape[-1] // 2, groups=n)
    return out.reshape(n, -1, height, width)


@pytest.mark.parametrize(("kernel", "demodulate"), [(3, True), (3, False), (1, False)])
def test_modulated_convolution_is_the_grouped_one_forwards_and_backwards(kernel, demodulate):
    torch.manual_seed(0)
    layer = ModulatedConv(5, 4, kernel, demodulate=demodulate).double()
    x, style, direction = normal(3, 5, 6, 7), normal(3, 5, seed=1), normal(3, 4, 6, 7, seed=2)
    inputs = x, style, layer.weight
    found, expected = layer(x, style), grouped(x, layer.weight, style, demodulate)
    torch.testing.assert_close(found, expected)
    of_found = torch.autograd.grad((found * direction).sum(), inputs)
    of_expected = torch.autograd.grad((expected * direction).sum(), inputs)
    torch.testing.assert_close(of_found, of_expected)


def test_demodulated_noise_of_unit_variance_keeps_it_exactly():
    """The variance of an output is the sum over its impulse responses, squared: one for each input value."""
    layer = ModulatedConv(6, 4, 3).double()
    impulses = torch.zeros(6, 6, 5, 5, dtype=torch.double)
    impulses[range(6), range(6), 2, 2] = 1
    style = (normal(1, 6).detach() * 10).expand(6, -1)
    variance = layer(impulses, style).square().sum((0, 2, 3))
    torch.testing.assert_close(variance, torch.ones_like(variance))


def test_demodulation_is_computed_in_float32_under_autocast():
    layer, style = ModulatedConv(64, 8, 3), normal(2, 64, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = layer.demodulation(style.bfloat16())
    torch.testing.assert_close(found, layer.demodulation(style.bfloat16().float()), rtol=1e-6, atol=0)


def test_equal_linear_starts_as_any_layer_and_moves_at_its_own_rate():
    torch.manual_seed(0)
    layer, plain = EqualLinear(256, 128, lr_multiplier=0.1), EqualLinear(256, 128)
    x = torch.randn(500, 256)
    assert layer(x).std().item() == pytest.approx(1, rel=0.05)
    moved = []
    for each in (layer, plain):
        adam = torch.optim.Adam(each.parameters(), lr=1e-3)
        before = each(x).detach()
        each(x)[:, 0].sum().backward()  # Adam's first step is the rate times the sign of the gradient
        adam.step()
        moved.append(each(x).detach() - before)
    torch.testing.assert_close(moved[0], 0.1 * moved[1], rtol=1e-3, atol=1e-5)


def test_the_activation_keeps_the_mean_square_of_a_gaussian():
    x = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    assert activate(x).square().mean().item() == pytest.approx(2 * (1 + 0.2**2) / 2, rel=0.02)


def test_noise_and_bias_of_a_style_layer_come_before_its_activation():
    layer = StyleLayer(7, 5, 4).double()
    nn.init.normal_(layer.noise_strength)
    nn.init.normal_(layer.bias)
    x, w, noise = normal(2, 5, 6, 6), normal(2, 7, seed=1), normal(2, 1, 6, 6, seed=2)
    expected = layer.conv(x, layer.style(w))
    for channel in range(4):
        expected[:, channel] += layer.noise_strength[channel] * noise[:, 0] + layer.bias[channel]
    torch.testing.assert_close(layer(x, w, noise), math.sqrt(2) * F.leaky_relu(expected, 0.2))


def test_blur_spreads_a_point_binomially_and_mirrors_the_border():
    blur = Blur().double()
    point = torch.zeros(1, 2, 5, 5, dtype=torch.double)
    point[0, 0, 2, 2] = 16
    rows = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]], dtype=torch.double)
    expected = torch.zeros_like(point)
    expected[0, 0, 1:4, 1:4] = rows
    torch.testing.assert_close(blur(point), expected)
    even = torch.full((1, 1, 4, 4), 0.7, dtype=torch.double)
    torch.testing.assert_close(blur(even), even)


def test_linear_attention_is_the_explicit_sum_over_pairs_of_positions():
    query, key, value = (normal(2, 3, 10, 4, seed=seed) for seed in range(3))
    weights = query.softmax(-1) @ key.softmax(-2).transpose(-1, -2)  # positions x positions
    torch.testing.assert_close(linear_attention(query, key, value), weights @ value / math.sqrt(4))


def test_heads_of_attention_read_channels_of_their_own():
    """The layer against a loop over images, heads and positions."""
    torch.manual_seed(0)
    layer, x = LinearAttention(6, heads=2).double(), normal(2, 6, 3, 4)
    query, (key, value) = layer.query(x), layer.key_value(x).chunk(2, dim=1)
    rows = torch.zeros(2, 128, 3, 4, dtype=torch.double)
    for n in range(2):
        for head in (slice(0, 64), slice(64, 128)):
            q, k, v = (part[n, head].flatten(1).T for part in (query, key, value))
            for place in range(12):
                shares = (q[place].softmax(0) * k.softmax(0)).sum(1)
                rows[n, head, place // 4, place % 4] = (shares[:, None] * v).sum(0) / 8
    torch.testing.assert_close(layer(x), layer.out(F.gelu(rows)))


def test_channel_norm_takes_the_statistics_of_each_position():
    norm, x = ChannelNorm(5).double(), normal(2, 5, 3, 3)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    deviation = (x.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    expected = (x - x.mean(1, keepdim=True)) / deviation
    expected = expected * norm.weight[:, None, None] + norm.bias[:, None, None]
    torch.testing.assert_close(norm(x), expected)


LAYERS: dict[str, Callable[[], Any]] = {
    "modulated": lambda: (ModulatedConv(2, 3, 3), (normal(2, 2, 4, 4), normal(2, 2, seed=1))),
    "style layer": lambda: (
        StyleLayer(2, 2, 3),
        (normal(2, 2, 4, 4), normal(2, 2, seed=1), normal(2, 1, 4, 4, seed=2)),
    ),
    "blur": lambda: (Blur(), (normal(1, 2, 4, 4),)),
    "doubling": lambda: (double_size, (normal(1, 2, 3, 3),)),
    "channel norm": lambda: (ChannelNorm(3), (normal(1, 3, 2, 2),)),
    "attention": lambda: (linear_attention, tuple(normal(1, 1, 3, 2, seed=seed) for seed in range(3))),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_layers_can_be_differentiated_twice(layer):
    """R1 and the path length differentiate a gradient; against finite differences."""
    torch.manual_seed(0)
    function, inputs = LAYERS[layer]()
    if isinstance(function, nn.Module):
        function.double()
    assert torch.autograd.gradgradcheck(function, inputs)


def test_an_attention_block_adds_to_what_it_is_given():
    block, x = AttentionBlock(4, heads=1).double(), normal(1, 4, 3, 3)
    lasts: list[Any] = [block.attention[-1].out, block.mlp[-1]]
    for last in lasts:
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    torch.testing.assert_close(block(x), x)
