"""The deviation over a minibatch: its numbers, its groups; real and generated images never share one."""

from __future__ import annotations

import pytest
import torch

from pluglab.errors import UserError
from pluglab_gan.minibatch import MinibatchDeviation
from pluglab_gan.stylegan2_networks import Discriminator
from tests.gan.conftest import images_at, spec_of, train

SMALL = {"width": 2, "latent_size": 8, "mapping_depth": 2, "attention_heads": 1}


def noise(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.double)


def test_the_new_channel_is_the_mean_deviation_of_the_group():
    x = noise(8, 3, 4, 5)
    found = MinibatchDeviation(4)(x)
    assert found.shape == (8, 4, 4, 5) and torch.equal(found[:, :3], x)
    for member in range(2):  # images 0, 2, 4, 6 and 1, 3, 5, 7
        deviation = x[member::2].std(0, correction=0).mean()
        assert torch.allclose(found[member::2, 3], deviation.expand(4, 4, 5), atol=1e-6)


@pytest.mark.parametrize(("n", "group"), [(6, 3), (4, 4), (3, 3), (1, 1)])
def test_groups_divide_the_batch(n, group):
    x = noise(n, 2, 4, 4)
    found, expected = MinibatchDeviation(4)(x), MinibatchDeviation(group)(x)
    assert torch.equal(found, expected)


@pytest.mark.parametrize(("n", "groups"), [(7, 1), (5, 1), (11, 2), (25, 6)])
def test_where_no_size_divides_the_batch_some_groups_are_larger(n, groups):
    """It used to be left out then: the deviation of a group of one."""
    x = noise(n, 2, 4, 4)
    found = MinibatchDeviation(4)(x)[:, 2]
    for member in range(groups):
        part = x[member::groups]
        assert 4 <= len(part) <= 7
        deviation = part.std(0, correction=0).mean()
        assert torch.allclose(found[member::groups], deviation.expand(len(part), 4, 4), atol=1e-6)


def test_a_group_of_one_and_a_step_on_one_image_are_refused(build):
    with pytest.raises(UserError, match="0 or at least 2"):
        build("stylegan2_lite", spec=spec_of(32), **SMALL, minibatch_deviation=1)
    for n, steps in ((1, 1), (3, 2)):
        trainer = build(
            "stylegan2_lite", spec=spec_of(32), **SMALL, minibatch_deviation=4, discriminator_steps=steps
        )
        with pytest.raises(UserError, match="sees one image alone") as told:
            train(trainer, 0, 1, total=1, n=n, size=32)
        assert "batch_size" in told.value.help[0]


def test_images_all_alike_have_no_deviation_and_a_gradient_all_the_same():
    x = noise(1, 2, 4, 4).expand(4, -1, -1, -1).clone().requires_grad_()
    found = MinibatchDeviation(4)(x)
    assert found[:, 2].abs().max() < 1e-3
    found.square().sum().backward()
    assert x.grad.isfinite().all()


def test_it_can_be_differentiated_twice():
    x = noise(4, 2, 3, 3).requires_grad_()
    torch.autograd.gradgradcheck(MinibatchDeviation(2), (x,))
    torch.autograd.gradgradcheck(MinibatchDeviation(2), (noise(5, 2, 3, 3).requires_grad_(),))


def test_the_last_convolution_of_stylegan2_has_one_more_channel():
    def count(**options):
        with torch.device("meta"):
            return sum(p.numel() for p in Discriminator(64, 3, 64, 8, **options).parameters())

    assert count(group=4) - count() == 512 * 9


def test_real_and_generated_images_are_discriminated_apart(build):
    trainer = build("stylegan2_lite", spec=spec_of(32), minibatch_deviation=4, **SMALL)
    real, fake = images_at(0, 4, 32), torch.zeros(4, 3, 32, 32)
    with torch.no_grad():
        one, other = trainer.discriminate(real, fake)
        assert torch.equal(one, trainer.discriminator(real)) and torch.equal(
            other, trainer.discriminator(fake)
        )
