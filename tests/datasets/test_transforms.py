from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pluglab.errors import UserError

Build = Callable[..., Any]
RANDOM = ["random_affine", "random_invert", "random_gain", "random_flip"]
FIXED = ["standardize", "to_gray", "zoom"]


def images(n: int = 64, channels: int = 3, height: int = 12, width: int = 16) -> Tensor:
    return torch.rand(n, channels, height, width, generator=seeded(9)) * 2 - 1


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", RANDOM)
def test_randomness_comes_from_the_generator_alone(build: Build, name: str) -> None:
    transform, x = build("transform", name), images()
    assert transform.random
    before = torch.get_rng_state()
    first, again, other = (transform(x, seeded(s)) for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", RANDOM + FIXED)
@pytest.mark.parametrize("channels", [1, 3])
def test_shape_and_memory_layout_stay_and_the_values_do_not_depend_on_the_layout(
    build: Build, name: str, channels: int
) -> None:
    transform, x = build("transform", name), images(channels=channels)
    plain = transform(x, seeded(0))
    last = transform(x.to(memory_format=torch.channels_last), seeded(0))
    assert plain.shape == x.shape
    assert plain.is_contiguous()
    assert last.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(plain, last)


@pytest.mark.parametrize("per_channel", [False, True])
def test_standardize_removes_gain_and_brightness_of_each_image(build: Build, per_channel: bool) -> None:
    transform, x = build("transform", "standardize", per_channel=per_channel), images()
    y = transform(x, seeded(0))
    dims = (2, 3) if per_channel else (1, 2, 3)
    torch.testing.assert_close(y.mean(dims), torch.zeros_like(y.mean(dims)), atol=1e-6, rtol=0)
    torch.testing.assert_close(y.var(dims, correction=0), torch.ones_like(y.mean(dims)), atol=1e-3, rtol=0)
    gain = torch.rand(64, 1, 1, 1, generator=seeded(1)) * 0.5 + 0.5
    torch.testing.assert_close(transform(gain * x + 0.25, seeded(0)), y, atol=2e-3, rtol=0)


def test_standardize_keeps_a_blank_image_blank(build: Build) -> None:
    blank = torch.full((2, 3, 8, 8), 0.5) + 1e-5 * images(2, 3, 8, 8)
    assert build("transform", "standardize")(blank, seeded(0)).abs().max() < 2e-3


def coordinates(n: int, height: int, width: int) -> Tensor:
    """Images whose channels are the pixel's own (x, y), in pixels from the center."""
    y, x = torch.meshgrid(
        torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2, indexing="ij"
    )
    return torch.stack([x, y]).expand(n, 2, height, width).contiguous()


def fitted(seen: Tensor, height: int, width: int) -> Tensor:
    """The 2 x 3 maps from output to input pixels, by least squares where the input was not padded."""
    own = coordinates(1, height, width)[0].flatten(1)
    inner = (own[0].abs() < width / 6) & (own[1].abs() < height / 6)
    design = torch.cat([own[:, inner], torch.ones(1, int(inner.sum()))]).T
    target = seen.flatten(2)[:, :, inner].transpose(1, 2)
    return torch.linalg.lstsq(design.expand(len(seen), -1, -1), target).solution.transpose(1, 2)


def test_random_affine_is_a_rotation_a_scale_and_a_shift_within_its_bounds(build: Build) -> None:
    height, width = 48, 64
    transform = build("transform", "random_affine", rotation=20, scale=0.2, shift=0.1)
    maps = fitted(transform(coordinates(500, height, width), seeded(0)), height, width)
    linear, shift = maps[:, :, :2], maps[:, :, 2]
    size = 1 / torch.linalg.det(linear).sqrt()
    rigid = linear * size[:, None, None]
    torch.testing.assert_close(rigid @ rigid.mT, torch.eye(2).expand(500, 2, 2), atol=1e-3, rtol=0)
    angle = torch.rad2deg(torch.atan2(rigid[:, 0, 1], rigid[:, 0, 0]))
    for value, middle, bound in [
        (angle, 0, 20),
        (size, 1, 0.2),
        (shift[:, 0] / width, 0, 0.1),
        (shift[:, 1] / height, 0, 0.1),
    ]:
        away = value - middle
        assert away.abs().max() <= bound * 1.001
        assert away.max() > 0.95 * bound
        assert away.min() < -0.95 * bound
        assert abs(away.std() / (bound / 3**0.5) - 1) < 0.1  # the deviation of a uniform draw


@pytest.mark.parametrize("padding", ["border", "zeros", "reflection"])
@pytest.mark.parametrize("channels", [1, 3])
def test_random_affine_is_what_torchs_own_grid_makes_of_the_same_draws(
    build: Build, padding: str, channels: int
) -> None:
    """The formula by which images were made before there was a faster one."""
    x, draws = images(channels=channels).contiguous(memory_format=torch.channels_last), seeded(3)
    found = build("transform", "random_affine", padding=padding)(x, draws)
    next_draw, again = torch.rand(1, generator=draws), seeded(3)
    draw = torch.rand(4, 64, generator=again) * 2 - 1
    angle, size = draw[0] * math.radians(14), 1 / (1 + 0.2 * draw[1])
    cos, sin, (u, v) = angle.cos() * size, angle.sin() * size, draw[2:] * 0.24
    theta = torch.stack([cos, -sin / (16 / 12), u, sin * 16 / 12, cos, v], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(theta, [64, channels, 12, 16], align_corners=False)
    wanted = F.grid_sample(x, grid, padding_mode=padding, align_corners=False)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    assert found.stride() == x.stride()
    assert torch.equal(next_draw, torch.rand(1, generator=again))


@pytest.mark.parametrize("factor", [1.4, 0.8])
def test_zoom_enlarges_about_the_center(build: Build, factor: float) -> None:
    seen = build("transform", "zoom", factor=factor)(coordinates(2, 48, 64), seeded(0))
    expected = torch.tensor([[1 / factor, 0, 0], [0, 1 / factor, 0]]).expand(2, 2, 3)
    torch.testing.assert_close(fitted(seen, 48, 64), expected, atol=1e-4, rtol=0)


def test_zoom_by_one_changes_nothing(build: Build) -> None:
    x = images()
    assert torch.equal(build("transform", "zoom")(x, seeded(0)), x)


def test_random_affine_with_nothing_to_do_changes_nothing(build: Build) -> None:
    x = images()
    still = build("transform", "random_affine", rotation=0, scale=0, shift=0)(x, seeded(0))
    torch.testing.assert_close(still, x, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("padding", "outside"), [("border", 1.0), ("zeros", 0.0), ("reflection", 1.0)])
def test_random_affine_pads_as_asked(build: Build, padding: str, outside: float) -> None:
    white = torch.ones(200, 1, 16, 16)
    moved = build("transform", "random_affine", shift=0.5, padding=padding)(white, seeded(0))
    assert moved.min().item() == pytest.approx(outside, abs=1e-5)


def shares(x: Tensor, y: Tensor, changed: Tensor) -> float:
    """The share of images that are `changed`; every other must be as it was."""
    is_changed = (y == changed).flatten(1).all(1)
    assert torch.equal(y[~is_changed], x[~is_changed])
    return is_changed.float().mean().item()


@pytest.mark.parametrize("name", ["random_invert", "random_flip"])
def test_a_share_of_the_images_is_inverted_or_mirrored(build: Build, name: str) -> None:
    x = images(2000, 1, 3, 4)
    changed = -x if name == "random_invert" else x.flip(3)
    assert shares(x, build("transform", name)(x, seeded(0)), changed) == pytest.approx(0.5, abs=0.04)
    assert shares(x, build("transform", name, probability=0.2)(x, seeded(0)), changed) == pytest.approx(
        0.2, abs=0.03
    )
    assert shares(x, build("transform", name, probability=0)(x, seeded(0)), changed) == 0
    assert shares(x, build("transform", name, probability=1)(x, seeded(0)), changed) == 1


@pytest.mark.parametrize("per_channel", [False, True])
def test_random_gain_is_a_line_within_its_bounds(build: Build, per_channel: bool) -> None:
    transform = build("transform", "random_gain", gain=0.3, brightness=0.5, per_channel=per_channel)
    x = images(500, 3, 2, 1)
    y = transform(x, seeded(0))
    gain = (y[:, :, 1] - y[:, :, 0]) / (x[:, :, 1] - x[:, :, 0])
    brightness = y[:, :, 0] - gain * x[:, :, 0]
    clear = (x[:, :, 1] - x[:, :, 0]).abs() > 0.2
    for value, low, high in [(gain[clear], 0.7, 1.3), (brightness[clear], -0.5, 0.5)]:
        assert low - 1e-4 <= value.min() < low + 0.02
        assert high - 0.02 < value.max() <= high + 1e-4
    spread = (gain.amax(1) - gain.amin(1))[clear.all(1)[:, 0]]
    assert (spread.max() > 0.1) == per_channel


def test_to_gray_is_the_luma_in_every_channel(build: Build) -> None:
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1).expand(2, 3, 4, 4)
    transform, gray = build("transform", "to_gray"), images(channels=1)
    torch.testing.assert_close(transform(red, seeded(0)), torch.full((2, 3, 4, 4), 0.299))
    assert torch.equal(transform(gray, seeded(0)), gray)


@pytest.mark.parametrize("channels", [2, 4])
def test_other_numbers_of_channels_work_or_are_refused_in_words(build: Build, channels: int) -> None:
    x = images(channels=channels)
    for name in [*RANDOM, "standardize", "zoom"]:
        assert build("transform", name)(x, seeded(0)).shape == x.shape
    with pytest.raises(UserError, match=f"'to_gray' takes images of one channel or three, not {channels}"):
        build("transform", "to_gray")(x, seeded(0))
