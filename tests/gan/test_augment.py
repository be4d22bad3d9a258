"""Each change against what it is allowed to be, image by image."""

from __future__ import annotations

import itertools

import pytest
import torch

from pluglab_gan import augment
from pluglab_gan.augment import diff_augment


def images(n=16, size=8, channels=3):
    return torch.rand(n, channels, size, size, dtype=torch.double) * 2 - 1


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_brightness_shifts_each_image_by_one_number():
    x = images(2000, 2)
    shift = (augment.brightness(x) - x).flatten(1)
    torch.testing.assert_close(shift, shift[:, :1].expand_as(shift))
    assert -0.5 <= shift.min() < -0.45 and 0.45 < shift.max() <= 0.5


def test_saturation_scales_the_distance_to_gray():
    x = images(2000, 2)
    y = augment.saturation(x)
    torch.testing.assert_close(y.mean(1), x.mean(1))
    factor = ((y - y.mean(1, True)) / (x - x.mean(1, True))).flatten(1)
    torch.testing.assert_close(factor, factor[:, :1].expand_as(factor), rtol=1e-4, atol=1e-6)
    assert 0 <= factor.min() < 0.1 and 1.9 < factor.max() <= 2


def test_contrast_scales_the_distance_to_the_mean():
    x = images(2000, 2)
    y = augment.contrast(x)
    torch.testing.assert_close(y.mean((1, 2, 3)), x.mean((1, 2, 3)))
    factor = ((y - y.mean((1, 2, 3), True)) / (x - x.mean((1, 2, 3), True))).flatten(1)
    torch.testing.assert_close(factor, factor[:, :1].expand_as(factor), rtol=1e-4, atol=1e-6)
    assert 0.5 <= factor.min() < 0.55 and 1.45 < factor.max() <= 1.5


def shifted(image, down, right):
    """The image moved by whole pixels, 0 where nothing was."""
    moved = torch.zeros_like(image)
    _, height, width = image.shape
    for y, x in itertools.product(range(height), range(width)):
        if 0 <= y - down < height and 0 <= x - right < width:
            moved[:, y, x] = image[:, y - down, x - right]
    return moved


def test_translation_is_a_shift_of_each_image_with_gray_coming_in():
    x = images(60, 8)
    y = augment.translation(x, share=0.25)
    found = set()
    for before, after in zip(x, y, strict=True):
        shifts = itertools.product(range(-2, 3), range(-2, 3))
        found.add(next(shift for shift in shifts if torch.equal(after, shifted(before, *shift))))
    assert {down for down, _ in found} == {right for _, right in found} == set(range(-2, 3))


@pytest.mark.parametrize(("size", "side"), [(8, 4), (6, 3)])
def test_cutout_clears_one_square_of_each_image(size, side):
    x = images(400, size)
    y = augment.cutout(x)
    cleared = (y == 0).all(1)
    assert torch.equal(y, x * ~cleared[:, None])
    rows, columns = cleared.any(2), cleared.any(1)
    assert torch.equal(cleared, rows[:, :, None] & columns[:, None, :])
    for hit in (rows, columns):
        # A run of at most `side` places: shorter only at the border.
        count = hit.sum(1)
        assert count.max() == side and count.min() >= side // 2
        inner = ~hit[:, 0] & ~hit[:, -1]
        assert (count[inner] == side).all() and inner.any()
        assert (hit.long().diff(dim=1).abs().sum(1) <= 2).all()
        assert hit.any(0).all()


@pytest.mark.parametrize("policy", augment.POLICIES)
def test_gradients_pass(policy):
    def change(x):
        torch.manual_seed(1)
        return diff_augment(x, [policy])

    assert torch.autograd.gradcheck(change, images(3, 4).requires_grad_())


@pytest.mark.parametrize("policy", augment.POLICIES)
def test_each_image_has_its_own_draw(policy):
    x = images(1, 8).expand(32, -1, -1, -1)
    assert len(diff_augment(x, [policy]).flatten(1).unique(dim=0)) > 8


@pytest.mark.parametrize("policy", augment.POLICIES)
def test_shape_kind_and_memory_layout_stay(policy):
    x = images().float().contiguous(memory_format=torch.channels_last)
    y = diff_augment(x, [policy])
    assert y.shape == x.shape and y.dtype == x.dtype
    assert y.is_contiguous(memory_format=torch.channels_last)


def test_gray_images_have_no_saturation():
    x = images(channels=1)
    torch.testing.assert_close(augment.saturation(x), x)


def test_nothing_asked_for_is_nothing_done():
    x = images()
    assert diff_augment(x, ()) is x
