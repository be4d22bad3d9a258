"""R3GAN's networks: their size as published, and their layers against what the paper says of them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from pluglab.errors import UserError
from pluglab.recipe.resolve import make
from pluglab_gan import r3gan_networks as networks
from pluglab_gan.r3gan_networks import ResidualBlock, Shape

from .conftest import spec_of, train


@pytest.fixture
def sizes(registry):
    """Parameters of both networks for images of this size."""

    def sizes(size, **options):
        trainer = make(registry, "trainer", "r3gan", **options).build({"train": spec_of(size)})
        return tuple(sum(p.numel() for p in net.parameters()) for net, _ in trainer.networks().values())

    return sizes


def test_the_paper_s_widths_give_the_paper_s_parameters(sizes):
    """Configuration E at 256 x 256: 23.058 and 23.010 million, as remembered, not looked up."""
    assert sizes(256, width=96, largest_width=768) == (23_057_952, 23_009_568)


def test_the_narrow_networks_have_the_parameters_counted_by_hand(sizes):
    """Channels of 4 x 4 to 64 x 64, and two blocks of each."""
    widths = 128, 128, 64, 32, 16
    blocks = 2 * sum(2 * w * 2 * w + 9 * 16 * 2 * w + 4 * w for w in widths)  # 1 x 1 twice, 3 x 3, biases
    between = 128 * 64 + 64 * 32 + 32 * 16
    image = 3 * 16
    generator = blocks + between + image + 128 * 16 + 64 * 128
    discriminator = blocks + between + image + 128 * 16 + 128
    assert sizes(64) == (generator, discriminator)


def test_widths_double_with_each_halving_up_to_the_largest():
    assert networks.widths(spec_of(256), 96, 768) == [768, 768, 768, 768, 384, 192, 96]
    assert networks.widths(spec_of(64), 384, 768) == [768, 768, 768, 768, 384]
    assert networks.widths(spec_of(16), 8, 64) == [32, 16, 8]


@pytest.mark.parametrize("options", [{"width": 8, "expansion": 1}, {"largest_width": 24, "expansion": 1}])
def test_channels_that_make_no_whole_groups_are_refused(registry, options):
    with pytest.raises(UserError, match="should be multiples of group_size, 16"):
        make(registry, "trainer", "r3gan", **options)


@pytest.fixture
def block():
    torch.manual_seed(0)
    return ResidualBlock(64, Shape([64] * 8, blocks=2, expansion=2, group=16))


def test_a_block_starts_as_the_identity(block):
    x = torch.randn(2, 64, 5, 5)
    assert torch.equal(block(x), x)


def test_a_block_is_its_formula(block):
    """x + W3 act(W2 * act(W1 x + b1) + b2), the middle one in groups of 16 channels."""
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.1)
    x = torch.randn(2, 64, 5, 5)
    act = nn.LeakyReLU(0.2)
    y = act(torch.einsum("oi,nihw->nohw", block.first.weight[..., 0, 0], x) + block.first.bias[:, None, None])
    parts = [
        nn.functional.conv2d(part, weight, bias, padding=1)
        for part, weight, bias in zip(
            y.split(16, 1), block.second.weight.split(16), block.second.bias.split(16), strict=True
        )
    ]
    y = torch.einsum("oi,nihw->nohw", block.last.weight[..., 0, 0], act(torch.cat(parts, 1)))
    assert len(parts) == 8 and block.last.bias is None
    torch.testing.assert_close(block(x), x + y, rtol=1e-4, atol=1e-5)


def test_a_block_s_first_weights_are_scaled_by_the_depth(block):
    """sqrt(2 / 1.04) / sqrt(fan-in) times 16^(-1/4) in networks of 16 blocks."""
    gain = math.sqrt(2 / 1.04) * 16**-0.25
    assert block.first.weight.std().item() == pytest.approx(gain / math.sqrt(64), rel=0.05)
    assert block.second.weight.std().item() == pytest.approx(gain / math.sqrt(16 * 9), rel=0.05)
    assert not block.last.weight.any() and not block.first.bias.any() and not block.second.bias.any()


def test_resampling_keeps_a_gradient_in_place_and_shrinking_undoes_a_plain_enlargement():
    ramp = torch.arange(8.0).view(1, 1, 1, 8).expand(1, 2, 8, 8)
    enlarged = networks.Enlarge(2, 2)(ramp)
    torch.testing.assert_close(enlarged[0, 0, 3, 1:-1], torch.arange(0.25, 7, 0.5))
    torch.testing.assert_close(networks.Shrink(2, 2)(enlarged)[..., 1:-1], ramp[..., 1:-1])


def test_the_start_of_g_is_a_map_of_each_channel_times_a_number():
    basis = networks.GenerativeBasis(8, 6)
    z = torch.randn(3, 8)
    numbers = z @ basis.modulate.weight.T
    torch.testing.assert_close(basis(z), torch.einsum("nc,chw->nchw", numbers, basis.basis))


def test_the_end_of_d_weighs_each_channel_by_a_map():
    basis = networks.DiscriminativeBasis(6, 2)
    x = torch.randn(3, 6, 4, 4)
    sums = torch.einsum("nchw,chw->nc", x, basis.basis.weight[:, 0])
    torch.testing.assert_close(basis(x), sums @ basis.mix.weight.T)


def test_its_schedules_are_the_paper_s_by_default(build):
    """Rates to a quarter, R1 and R2 to a tenth, beta2 from 0.9 to 0.99, all by a cosine."""
    trainer = build("r3gan")
    for step, rate, weight, beta2 in ((0, 1, 20, 0.9), (500, 0.625, 11, 0.945), (1000, 0.25, 2, 0.99)):
        train(trainer, step, step + 1, total=1001)
        group = trainer.generator_optimizer.param_groups[0]
        assert group["lr"] == pytest.approx(2e-4 * rate, rel=0.01)
        assert group["betas"] == (0, pytest.approx(beta2, abs=1e-3))
        found = trainer.config.r1 * trainer.progress.at(trainer.penalty_schedule)
        assert found == pytest.approx(weight / 10, rel=0.01)
