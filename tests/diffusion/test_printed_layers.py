"""The order of the layers of the two printed U-Nets, as reports print it, read off a forward pass."""

from __future__ import annotations

import torch

from pluglab.recipe.resolve import make
from tests.layers import operations

from .conftest import spec_of


def layers(registry, name, timesteps):
    denoiser = make(registry, "denoiser", name).build(spec_of(28, 3), 10, timesteps)
    x, t, labels = torch.zeros(2, 3, 28, 28), torch.tensor([0, 1]), torch.tensor([0, 9])
    return operations(denoiser, x, t, labels)


def test_double_conv(registry):
    def double(i, o, m):
        return f"conv({i},{m},3,1,1)!b GN(1) gelu conv({m},{o},3,1,1)!b GN(1)"

    def residual(c):
        return f"{double(c, c, c)} + gelu"

    def time(c):
        return f"silu linear(256,{c}) +"

    def attention(c):
        return f"LN({c}) attention({c},4) LN({c}) linear({c},{c}) gelu linear({c},{c})"

    def down(i, o):
        return f"pool(2) {residual(i)} {double(i, o, o)} {time(o)} {attention(o)}"

    def up(i, o):
        return f"up(bilinear) {residual(i)} {double(i, o, i // 2)} {time(o)} {attention(o)}"

    printed = f"""embedding(10,256) {double(3, 64, 64)} {down(64, 128)} {down(128, 256)} {down(256, 256)}
        {double(256, 512, 512)} {double(512, 512, 512)} {double(512, 256, 256)}
        {up(512, 128)} {up(256, 64)} {up(128, 64)} conv(64,3,1,1,0)"""
    assert layers(registry, "double_conv", 1000) == printed.split()


def test_residual(registry):
    def embedding(rows):
        return f"embedding({rows},128) linear(128,512) silu linear(512,512)"

    def block(i, o, attention=False):
        """Time and class come in between the two convolutions; they are computed first."""
        shortcut = "" if i == o else f"conv({i},{o},1,1,0)"
        mixing = f"GN(32) {f'conv({o},{o},1,1,0) ' * 3} attention({o}) conv({o},{o},1,1,0) +"
        return f"""silu linear(512,{o}) silu linear(512,{o}) GN(32) silu conv({i},{o},3,1,1) +
            GN(32) silu dropout(0.15) conv({o},{o},3,1,1) {shortcut} + {mixing if attention else ""}"""

    def down(c):
        return f"conv({c},{c},3,2,1) conv({c},{c},5,2,2) +"

    def up(c):
        return f"convT({c},{c},5,2,2) conv({c},{c},3,1,1)"

    printed = f"""{embedding(200)} {embedding(11)} conv(3,128,3,1,1)
        {block(128, 128, True)} {block(128, 128, True)} {down(128)}
        {block(128, 256, True)} {block(256, 256, True)} {down(256)}
        {block(256, 256, True)} {block(256, 256, True)}
        {block(256, 256, True)} {block(256, 256)}
        {block(512, 256)} {block(512, 256)} {block(512, 256)} {up(256)}
        {block(512, 256)} {block(512, 256)} {block(384, 256)} {up(256)}
        {block(384, 128)} {block(256, 128)} {block(256, 128)}
        GN(32) silu conv(128,3,3,1,1)"""
    assert layers(registry, "residual", 200) == printed.split()
