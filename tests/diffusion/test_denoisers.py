from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

from pluglab.errors import UserError
from pluglab.protocols import Batch, Progress
from pluglab.recipe.resolve import make
from pluglab_diffusion.denoisers import NO_CLASS
from pluglab_diffusion.denoisers.base import sinusoids

from .conftest import spec_of

DIGITS = tuple("0123456789")
NAMES = ["unet", "double_conv", "residual", "dit"]


def network(registry, name, size=28, colors=3, classes=10, timesteps=1000, **options) -> nn.Module:
    torch.manual_seed(0)
    denoiser = make(registry, "denoiser", name, **options)
    built: nn.Module = denoiser.build(spec_of(size, colors), classes, timesteps)
    return built


def small(registry, name, **more) -> nn.Module:
    options: dict[str, dict[str, Any]] = {
        "residual": {"channels": 32, "blocks": 1},
        "unet": {"channels": [8, 16], "blocks": [1, 1]},
        "double_conv": {},
        "dit": {"width": 16, "depth": 2, "heads": 2},
    }
    return network(registry, name, **{**options[name], **more})


def count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def conv(i: int, o: int, k: int, bias: bool = True) -> int:
    return i * o * k * k + (o if bias else 0)


def linear(*sizes: int) -> int:
    return sum(i * o + o for i, o in pairwise(sizes))


# The printed layouts --------------------------------------------------------------------------------------


def double_conv_by_hand(channels: int, classes: int) -> int:
    def double(i: int, o: int, m: int) -> int:
        return conv(i, m, 3, bias=False) + 2 * m + conv(m, o, 3, bias=False) + 2 * o

    def down(i: int, o: int) -> int:
        return double(i, i, i) + double(i, o, o) + linear(256, o)

    def up(i: int, o: int) -> int:
        return double(i, i, i) + double(i, o, i // 2) + linear(256, o)

    def attention(c: int) -> int:
        return 2 * c + 4 * linear(c, c) + 2 * c + linear(c, c, c)

    total = double(channels, 64, 64) + classes * 256 + conv(64, channels, 1)
    total += down(64, 128) + down(128, 256) + down(256, 256)
    total += double(256, 512, 512) + double(512, 512, 512) + double(512, 256, 256)
    total += up(512, 128) + up(256, 64) + up(128, 64)
    return total + sum(map(attention, (128, 256, 256, 128, 64, 64)))


def residual_by_hand(channels: int, classes: int, timesteps: int) -> int:
    def block(i: int, o: int, attention: bool = False) -> int:
        body = 2 * i + conv(i, o, 3) + 2 * linear(512, o) + 2 * o + conv(o, o, 3)
        return body + (conv(i, o, 1) if i != o else 0) + (2 * o + 4 * conv(o, o, 1) if attention else 0)

    total = timesteps * 128 + (classes + 1) * 128 + 2 * linear(128, 512, 512) + conv(channels, 128, 3)
    total += 2 * block(128, 128, True) + conv(128, 128, 3) + conv(128, 128, 5)
    total += block(128, 256, True) + block(256, 256, True) + conv(256, 256, 3) + conv(256, 256, 5)
    total += 2 * block(256, 256, True) + block(256, 256, True) + block(256, 256)
    total += 3 * block(512, 256) + conv(256, 256, 5) + conv(256, 256, 3)
    total += 2 * block(512, 256) + block(384, 256) + conv(256, 256, 5) + conv(256, 256, 3)
    return total + block(384, 128) + 2 * block(256, 128) + 2 * 128 + conv(128, channels, 3)


def test_double_conv_has_the_printed_layers(registry):
    assert count(network(registry, "double_conv")) == double_conv_by_hand(3, 10) == 23_335_299


def test_residual_has_the_printed_layers(registry):
    assert count(network(registry, "residual", timesteps=200)) == residual_by_hand(3, 10, 200) == 33_293_187


def test_the_default_is_an_order_of_magnitude_smaller(registry):
    assert count(network(registry, "unet")) < 2_500_000


# What every denoiser does -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("size", "colors"), [(16, 1), (28, 3), (32, 1), (64, 3)])
def test_every_size_in_gray_and_color(registry, name, size, colors):
    net = small(registry, name, size=size, colors=colors).eval()
    x = torch.randn(2, colors, size, size)
    with torch.no_grad():
        assert net(x, torch.tensor([0, 999]), torch.tensor([NO_CLASS, 9])).shape == x.shape


@pytest.mark.parametrize("name", NAMES)
def test_time_and_class_matter_and_no_class_is_one_more(registry, name):
    net = small(registry, name, size=16).eval()
    wake(net)
    x = torch.randn(1, 3, 16, 16).expand(4, -1, -1, -1)
    with torch.no_grad():
        out = net(x, torch.tensor([5, 5, 5, 600]), torch.tensor([1, 2, NO_CLASS, 1]))
    distances = torch.cdist(out.flatten(1), out.flatten(1))
    assert (distances[~torch.eye(4, dtype=torch.bool)] > 1e-3).all()


@pytest.mark.parametrize("name", NAMES)
def test_an_unconditional_network_has_no_class_parameters(registry, name):
    free, known = small(registry, name, size=16, classes=0).eval(), small(registry, name, size=16)
    assert count(free) < count(known)
    x, t = torch.randn(2, 3, 16, 16), torch.tensor([3, 4])
    with torch.no_grad():
        assert free(x, t, torch.full((2,), NO_CLASS)).shape == x.shape


@pytest.mark.parametrize("name", NAMES)
def test_images_of_a_batch_do_not_see_each_other(registry, name):
    net = small(registry, name, size=16).eval()
    wake(net)
    x, t, labels = torch.randn(3, 3, 16, 16), torch.tensor([1, 50, 999]), torch.tensor([0, 1, 2])
    with torch.no_grad():
        torch.testing.assert_close(
            net(x, t, labels)[1:2], net(x[1:2], t[1:2], labels[1:2]), atol=1e-4, rtol=1e-4
        )


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_learns(registry, name):
    net = small(registry, name, size=16)
    wake(net)
    labels = torch.tensor([*range(10), NO_CLASS])
    out = net(torch.randn(11, 3, 16, 16), torch.arange(11), labels)
    out.square().mean().backward()
    still = [key for key, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still, still


def wake(net: nn.Module) -> None:
    """Layers that start at zero let nothing through yet."""
    for parameter in net.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)


@pytest.mark.parametrize(
    ("name", "size", "options", "words"),
    [
        ("unet", 30, {}, "images of 30 x 30: it wants multiples of 4"),
        ("unet", 28, {"patch": 2}, "28 x 28: it wants multiples of 8"),
        ("residual", 30, {}, "images of 30 x 30: it wants multiples of 4"),
        ("double_conv", 7, {}, "7 x 7: it wants 8 pixels or more"),
        ("dit", 30, {}, "30 x 30: it wants multiples of 4"),
    ],
)
def test_sizes_that_cannot_be_halved_are_a_clear_error(registry, name, size, options, words):
    with pytest.raises(UserError, match=words) as error:
        network(registry, name, size=size, **options)
    assert "size" in error.value.help[0]


def test_images_need_not_be_square(registry):
    denoiser = make(registry, "denoiser", "unet").build(spec_of(16, 1, width=24), 0, 100)
    x = torch.randn(2, 1, 16, 24)
    assert denoiser(x, torch.tensor([0, 1]), torch.full((2,), NO_CLASS)).shape == x.shape


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(2, 16, 16), (4, 16, 24), (3, 24, 16), (1, 17, 16), (3, 7, 9), (1, 1, 1)])
def test_every_shape_is_trained_on_and_drawn_or_refused(build, name, shape):
    """One that cannot be halved is refused before training; any number of channels will do."""
    options: dict[str, dict[str, Any]] = {
        "residual": {"channels": 32, "blocks": 1},
        "unet": {"channels": [8, 16], "blocks": [1, 1]},
        "dit": {"width": 16, "depth": 1, "heads": 2, "patch": 2},
    }
    denoiser = {"name": name, **options.get(name, {})}
    channels, height, width = shape
    spec = spec_of(height, channels, width=width)
    divisor = {"unet": 2, "residual": 4, "double_conv": 1, "dit": 2}[name]
    if height % divisor or width % divisor or (min(height, width) < 8 and name != "dit"):
        with pytest.raises(UserError, match=f"cannot take images of {height} x {width}: it wants") as told:
            build(spec=spec, denoiser=denoiser)
        assert told.value.help
        return
    trainer = build(spec=spec, denoiser=denoiser, timesteps=20, sampling={"steps": 2})
    images = torch.rand(4, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    loss = trainer.step({"train": Batch(images, torch.arange(4) % 3)}, Progress(0, 2))["loss/denoising"]
    made = trainer.sample(2, torch.tensor([0, 1]), torch.Generator().manual_seed(0))
    assert loss.isfinite() and made.isfinite().all() and made.shape == (2, *shape)


def test_the_default_starts_by_predicting_nothing(registry):
    out = network(registry, "unet")(torch.randn(2, 3, 28, 28), torch.tensor([0, 9]), torch.tensor([0, 1]))
    assert not out.any()


def test_the_default_reads_time_as_a_share_of_all_levels(registry):
    """So that T = 200 and T = 1000 give the network the same inputs at the same share."""
    x, labels = torch.randn(1, 3, 28, 28), torch.tensor([1])
    nets = [network(registry, "unet", timesteps=t).eval() for t in (200, 1000)]
    for net in nets:
        torch.manual_seed(1)
        wake(net)
    torch.testing.assert_close(
        nets[0](x, torch.tensor([40]), labels), nets[1](x, torch.tensor([200]), labels)
    )


def test_sinusoids_by_hand():
    found = sinusoids(torch.tensor([0, 3]), 4)
    expected = torch.tensor([[0.0, 0.0, 1.0, 1.0], [3.0, 0.03, 3.0, 0.03]])
    expected[1, :2], expected[1, 2:] = expected[1, :2].sin(), expected[1, 2:].cos()
    torch.testing.assert_close(found, expected)


def test_the_default_takes_one_number_of_blocks_a_level(registry):
    with pytest.raises(UserError, match="3 `blocks`"):
        make(registry, "denoiser", "unet", blocks=[1, 2])


@pytest.mark.parametrize("patch", [1, 2, 4])
def test_patches_keep_the_size_of_the_image(registry, patch):
    net = network(registry, "unet", size=32, channels=[8, 16], blocks=[1, 2], patch=patch)
    x = torch.randn(2, 3, 32, 32)
    assert net(x, torch.tensor([0, 1]), torch.tensor([0, NO_CLASS])).shape == x.shape
    assert net.stem.in_channels == 3 * patch**2


# The transformer ------------------------------------------------------------------------------------------

SIZES = {"S": (384, 12, 6, 33), "B": (768, 12, 12, 130), "L": (1024, 24, 16, 458), "XL": (1152, 28, 16, 675)}


def dit_by_hand(width: int, depth: int, patch: int, channels: int, outputs: int, classes: int) -> int:
    """Layers of the paper's code (facebookresearch/DiT), without the fixed positions."""
    block = linear(width, 3 * width) + linear(width, width) + linear(width, 4 * width, width)
    total = linear(patch**2 * channels, width) + linear(256, width, width) + (classes + 1) * width
    total += depth * (block + linear(width, 6 * width))
    return total + linear(width, 2 * width) + linear(width, patch**2 * outputs)


@pytest.mark.parametrize("size", SIZES)
def test_the_papers_sizes_have_its_parameters(registry, size):
    """Table 4: of latents 32 x 32 x 4 of 1,000 classes, whose network also predicts a variance a channel."""
    width, depth, heads, millions = SIZES[size]
    with torch.device("meta"):
        net = network(registry, "dit", 32, 4, classes=1000, patch=2, width=width, depth=depth, heads=heads)
    assert count(net) == dit_by_hand(width, depth, 2, 4, 4, 1000)
    printed = dit_by_hand(width, depth, 2, 4, 8, 1000) + net.positions.numel()
    assert abs(printed / 1e6 - millions) < 0.6
    if size == "S":
        assert printed == 32_963_360


def test_the_size_for_a_cpu(registry):
    assert count(network(registry, "dit")) == dit_by_hand(192, 6, 4, 3, 3, 10) == 4_179_888


def test_blocks_of_a_transformer_are_the_identity_at_first_and_the_output_zero(registry):
    net = network(registry, "dit", size=8)
    h, emb = torch.randn(2, 4, 192), torch.randn(2, 192)
    assert torch.equal(net.blocks[0](h, emb), h)
    assert not net(torch.randn(2, 3, 8, 8), torch.tensor([0, 9]), torch.tensor([0, 1])).any()


def test_a_block_is_what_the_paper_draws(registry):
    """Figure 3, with torch's own attention and layer norm."""
    dit: Any = network(registry, "dit", size=8, width=16, depth=1, heads=2)
    (block,) = dit.blocks
    wake(block)
    torch_attention = nn.MultiheadAttention(16, 2, batch_first=True)
    torch_attention.in_proj_weight.data, torch_attention.in_proj_bias.data = (
        block.qkv.weight.data,
        block.qkv.bias.data,
    )
    torch_attention.out_proj.load_state_dict(block.proj.state_dict())
    h, emb = torch.randn(3, 4, 16), torch.randn(3, 16)
    b1, g1, a1, b2, g2, a2 = block.modulation(emb)[:, None].chunk(6, dim=-1)
    x = nn.functional.layer_norm(h, (16,), eps=1e-6) * (1 + g1) + b1
    h1 = h + a1 * torch_attention(x, x, x)[0]
    x = nn.functional.layer_norm(h1, (16,), eps=1e-6) * (1 + g2) + b2
    hidden = nn.functional.gelu(block.mlp[0](x), approximate="tanh")
    torch.testing.assert_close(block(h, emb), h1 + a2 * block.mlp[2](hidden), rtol=1e-4, atol=1e-5)


def test_tokens_know_where_they_are(registry):
    """Tokens of a column share the first half, those of a row the second, as in the paper's code."""
    net = network(registry, "dit", size=12, width=32, heads=2)
    places = net.positions.view(3, 3, 32)
    assert torch.equal(places[0, 1, :16], places[2, 1, :16])
    assert torch.equal(places[1, 0, 16:], places[1, 2, 16:])
    assert len(torch.unique(net.positions, dim=0)) == 9
    assert places[2, 1, 0].item() == pytest.approx(math.sin(1)) and places[2, 1, 16].item() == pytest.approx(
        math.sin(2)
    )


def test_patches_come_back_to_their_places(registry):
    """With no blocks but the identity, an output layer that undoes the first is the image again."""
    net = network(registry, "dit", size=8, colors=1, width=16, patch=4, heads=2, depth=1)
    with torch.no_grad():
        net.positions.zero_()
        net.tokens.weight.copy_(torch.eye(16))
        net.out.weight.copy_(torch.eye(16))
    net.norm = nn.Identity()
    x = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(net(x, torch.tensor([1, 2]), torch.tensor([0, 1])), x)


def test_heads_must_divide_the_width(registry):
    with pytest.raises(UserError, match="`heads` that divide its `width` of 192"):
        make(registry, "denoiser", "dit", heads=5)
