"""The order of the layers of every printed network, as reports print it, read off a forward pass."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pluglab.recipe.resolve import make
from tests.layers import operations

from .conftest import spec_of


@pytest.fixture
def layers(registry):
    def layers(name, size=64, leave_out=(), **options):
        trainer = make(registry, "trainer", name, **options).build({"train": spec_of(size)})
        listed = trainer.networks().items()
        return {name: operations(network, *inputs, leave_out=leave_out) for name, (network, inputs) in listed}

    return layers


def words(text):
    return text.split()


def test_dcgan(layers):
    found = layers("dcgan")
    assert found["generator"] == words("""
        convT(100,512,4,1,0)!b BN(512) relu  convT(512,256,4,2,1)!b BN(256) relu
        convT(256,128,4,2,1)!b BN(128) relu  convT(128,64,4,2,1)!b BN(64) relu  convT(64,3,4,2,1)!b tanh""")
    assert found["discriminator"] == words("""
        conv(3,64,4,2,1)!b lrelu(0.2)  conv(64,128,4,2,1)!b BN(128) lrelu(0.2)
        conv(128,256,4,2,1)!b BN(256) lrelu(0.2)  conv(256,512,4,2,1)!b BN(512) lrelu(0.2)
        conv(512,1,4,1,0)!b""")


def test_sngan_as_printed_is_dcgan_with_normalized_weights_in_d(layers, registry):
    assert layers("sngan", batch_norm=True) == layers("dcgan")
    trainer = make(registry, "trainer", "sngan", batch_norm=True).build({"train": spec_of(64)})
    for name, normalized in (("generator", False), ("discriminator", True)):
        convolutions = [m for m in getattr(trainer, name).modules() if isinstance(m, nn.modules.conv._ConvNd)]
        assert len(convolutions) == 5
        assert {nn.utils.parametrize.is_parametrized(m, "weight") for m in convolutions} == {normalized}


def self_attention(c):
    return f"conv({c},{c // 8},1,1,0) conv({c},{c // 8},1,1,0) conv({c},{c},1,1,0) attention({c // 8}) +"


def test_sagan(layers, registry):
    found = layers("sagan", attention_pooling=False)
    assert found["generator"] == words(f"""
        convT(128,512,4,1,0) BN(512) relu  convT(512,256,4,2,1) BN(256) relu
        convT(256,128,4,2,1) BN(128) relu  {self_attention(128)}
        convT(128,64,4,2,1) BN(64) relu  {self_attention(64)}  convT(64,3,4,2,1) tanh""")
    assert found["discriminator"] == words(f"""
        conv(3,64,4,2,1) lrelu(0.1)  conv(64,128,4,2,1) lrelu(0.1)  conv(128,256,4,2,1) lrelu(0.1)
        {self_attention(256)}  conv(256,512,4,2,1) lrelu(0.1)  {self_attention(512)}  conv(512,1,4,1,0)""")
    trainer = make(registry, "trainer", "sagan").build({"train": spec_of(64)})
    for network in (trainer.generator, trainer.discriminator):
        stages = [m for m in network if isinstance(m, nn.modules.conv._ConvNd)]
        assert [nn.utils.parametrize.is_parametrized(m, "weight") for m in stages] == [True] * 4 + [False]


def test_acgan(layers):
    found = layers("acgan", 32, preset="printed")
    assert found["generator"] == words("""
        embedding(10,100) linear(100,8192) BN(128)
        up(nearest,2) conv(128,128,3,1,1) BN(128,0.8) lrelu(0.2)
        up(nearest,2) conv(128,64,3,1,1) BN(64,0.8) lrelu(0.2)  conv(64,3,3,1,1) tanh""")
    assert found["discriminator"] == words("""
        conv(3,16,3,2,1) lrelu(0.2) dropout2d(0.25)
        conv(16,32,3,2,1) lrelu(0.2) dropout2d(0.25) BN(32,0.8)
        conv(32,64,3,2,1) lrelu(0.2) dropout2d(0.25) BN(64,0.8)
        conv(64,128,3,2,1) lrelu(0.2) dropout2d(0.25) BN(128,0.8)  linear(512,1) linear(512,10)""")


# StyleGAN2-lite ----------------------------------------------------------------------------------------


def linear_attention(c):
    """A norm of channels; a depthwise 3x3 convolution; k and v by the two halves of one layer, q; then the
    perceptron."""
    return f"""LN({c}) dconv({c},{c},3,1,1)!b conv({c},512,1,1,0)!b conv({c},512,1,1,0)!b
        conv({c},512,1,1,0)!b
        softmax softmax gelu conv(512,{c},1,1,0) +
        LN({c}) conv({c},{2 * c},1,1,0) lrelu(0.2) conv({2 * c},{c},1,1,0) +"""


def style_layer(i, o):
    """Style projection, modulated convolution, its demodulation; bias and noise, which are added as one."""
    return f"linear(512,{i}) conv({i},{o},3,1,1)!b linear({i},{o})!b + lrelu(0.2)"


def generator_block(i, o, first=False):
    to_rgb = f"linear(512,{o}) conv({o},3,1,1,0)!b"
    grow = "" if first else "up(bilinear,2)"
    return f"{grow} {style_layer(i, o)} {style_layer(o, o)} {to_rgb}"


@pytest.mark.parametrize("start", ["constant", "style"])
def test_the_generator_of_stylegan2(layers, start):
    found = layers("stylegan2_lite", start=start)["generator"]
    first = "" if start == "constant" else "convT(512,512,4,1,0)!b"
    skip = "up(bilinear,2) blur + "  # of the image so far
    assert found == words(f"""
        {"linear(512,512) lrelu(0.2) " * 8} {first} conv(512,512,3,1,1)
        {generator_block(512, 512, first=True)} {generator_block(512, 256)} {generator_block(256, 128)}
        {generator_block(128, 64)} {linear_attention(64)} {generator_block(64, 32)} {skip * 4}""")


def discriminator_block(i, o, last=False):
    """The two convolutions and, to halve the size, the third; then the 1x1 one beside them, and their sum."""
    halve = "" if last else f"blur conv({o},{o},3,2,1)"
    return f"conv({i},{o},3,1,1) lrelu(0.2) conv({o},{o},3,1,1) lrelu(0.2) {halve} conv({i},{o},1,1,0) +"


def test_the_discriminator_of_stylegan2(layers):
    assert layers("stylegan2_lite")["discriminator"] == words(f"""
        {discriminator_block(3, 64)} {linear_attention(64)} {discriminator_block(64, 128)}
        {discriminator_block(128, 256)} {discriminator_block(256, 512)} {discriminator_block(512, 512)}
        {discriminator_block(512, 512, last=True)} conv(512,512,3,1,1) linear(2048,1)""")


def test_layers_in_another_order_are_told_apart_where_their_parameters_are_not():
    parts = nn.Linear(4, 4), nn.Dropout(0.3), nn.ReLU()
    first, other = nn.Sequential(*parts), nn.Sequential(parts[1], parts[0], parts[2])
    assert operations(first, torch.zeros(1, 4)) == ["linear(4,4)", "dropout(0.3)", "relu"]
    assert operations(other, torch.zeros(1, 4)) == ["dropout(0.3)", "linear(4,4)", "relu"]
