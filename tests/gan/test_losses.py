from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from pluglab.recipe.resolve import make
from pluglab_gan.losses import LabelOptions, labels

REAL, FAKE = [0.3, -1.2, 2.0], [-0.4, 1.5, 0.0]


@pytest.fixture
def loss(registry):
    return lambda name, **options: make(registry, "gan_loss", name, **options).build()


def tensor(values):
    return torch.tensor(values, dtype=torch.double)


def mean(values):
    return sum(values) / len(values)


def log_s(x):
    return -math.log1p(math.exp(-x))


def both(loss, real=REAL, fake=FAKE):
    real, fake = tensor(real), tensor(fake)
    return loss.discriminator(real, fake).item(), loss.generator(fake, lambda: real).item()


def unasked():
    raise AssertionError("this loss has no use for the scores of real images")


def test_non_saturating(loss):
    d = -mean([log_s(x) for x in REAL]) - mean([log_s(-x) for x in FAKE])
    assert both(loss("non_saturating")) == pytest.approx((d, -mean([log_s(x) for x in FAKE])))


def test_smoothed_labels_mix_both_cross_entropies(loss):
    real = -mean([0.9 * log_s(x) + 0.1 * log_s(-x) for x in REAL])
    fake = -mean([0.2 * log_s(x) + 0.8 * log_s(-x) for x in FAKE])
    smooth = loss("non_saturating", real_label=(0.9, 0.9), fake_label=(0.2, 0.2))
    d, g = both(smooth)
    assert d == pytest.approx(real + fake)
    assert g == both(loss("non_saturating"))[1]  # G is told no labels


def test_least_squares(loss):
    d = (mean([(x - 0.9) ** 2 for x in REAL]) + mean([x**2 for x in FAKE])) / 2
    found = both(loss("least_squares", real_label=(0.9, 0.9)))
    assert found == pytest.approx((d, mean([(x - 1) ** 2 for x in FAKE]) / 2))


def test_hinge(loss):
    # real: 0.7, 2.2, 0; generated: 0.6, 2.5, 1
    assert both(loss("hinge")) == pytest.approx((2.9 / 3 + 4.1 / 3, -1.1 / 3))


def test_hinge_leaves_alone_what_is_beyond_the_margin(loss):
    real, fake = tensor([1.5, 0.5]).requires_grad_(), tensor([-3.0, 0.0]).requires_grad_()
    loss("hinge").discriminator(real, fake).backward()
    assert real.grad.tolist() == [0, -0.5] and fake.grad.tolist() == [0, 0.5]


def test_wasserstein(loss):
    assert both(loss("wasserstein")) == pytest.approx((mean(FAKE) - mean(REAL), -mean(FAKE)))


def test_the_loss_of_g_does_not_saturate(loss):
    """Where D is sure that an image is generated, -log s(d) has the slope -1, and log(1 - s(d)) has none."""
    fake = tensor([-50.0]).requires_grad_()
    loss("non_saturating").generator(fake, unasked).backward()
    assert fake.grad.item() == pytest.approx(-1)


def test_relativistic_is_the_cross_entropy_of_pairs(loss):
    real = [0.5, -1.2, 2.0]  # not REAL, whose mean is that of FAKE: d - g is the difference of both
    d = -mean([log_s(x - y) for x, y in zip(real, FAKE, strict=True)])
    g = -mean([log_s(y - x) for x, y in zip(real, FAKE, strict=True)])
    assert both(loss("relativistic"), real=real) == pytest.approx((d, g))


def test_relativistic_does_not_see_a_shift_of_all_scores(loss):
    shifted = [[x + 7 for x in scores] for scores in (REAL, FAKE)]
    assert both(loss("relativistic"), *shifted) == pytest.approx(both(loss("relativistic")))


def test_relativistic_of_equal_scores_is_log_2_and_pulls_both_ways_alike(loss):
    real, fake = tensor([0.4]).requires_grad_(), tensor([0.4]).requires_grad_()
    found = loss("relativistic").discriminator(real, fake)
    found.backward()
    assert found.item() == pytest.approx(math.log(2))
    assert (real.grad.item(), fake.grad.item()) == (-0.5, 0.5)


@pytest.mark.parametrize(
    "name, expected",
    [
        ("non_saturating", lambda fake: F.softplus(-fake).mean()),
        ("hinge", lambda fake: -fake.mean()),
        ("least_squares", lambda fake: (fake - 1).square().mean() / 2),
        ("wasserstein", lambda fake: -fake.mean()),
    ],
)
def test_losses_of_generated_images_alone_are_the_same_bits_and_ask_for_no_real_ones(loss, name, expected):
    fake = torch.randn(64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loss(name).generator(fake, unasked), expected(fake))


def test_soft_labels_are_drawn_evenly_from_their_range():
    scores = torch.zeros(20_000)
    real, fake = labels(LabelOptions(real_label=(0.7, 1.2), fake_label=(0, 0.3)), scores, scores)
    for drawn, low, high in ((real, 0.7, 1.2), (fake, 0.0, 0.3)):
        assert low <= drawn.min() < low + 0.01 and high - 0.01 < drawn.max() <= high
        assert drawn.mean().item() == pytest.approx((low + high) / 2, abs=0.01)
        assert drawn.std().item() == pytest.approx((high - low) / math.sqrt(12), abs=0.01)


def test_flips_exchange_the_stated_share_of_labels_of_each_image_on_its_own():
    scores = torch.zeros(20_000)
    real, fake = labels(LabelOptions(real_label=(0.9, 0.9), flips=0.1), scores, scores)
    for drawn in (real, fake):
        assert drawn.unique().tolist() == pytest.approx([0, 0.9])
    assert (real == 0).float().mean().item() == pytest.approx(0.1, abs=0.01)
    assert (fake > 0).float().mean().item() == pytest.approx(0.1, abs=0.01)
    assert not torch.equal(real == 0, fake > 0)
