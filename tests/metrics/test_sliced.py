"""The sliced Wasserstein distance against scipy, closed forms and images that are known."""

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import torch

from pluglab.data import Images, to_float
from pluglab.errors import UserError
from pluglab_metrics.sliced import (
    down,
    laplacian_pyramid,
    normalized,
    patches,
    sliced_wasserstein,
    up,
)
from tests.evaluation import role_data

FILTER = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256


def rng():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def pictures():
    """Smooth random images, 300 x 3 x 64 x 64 in uint8."""
    coarse = torch.rand(300, 3, 8, 8, generator=rng())
    fine = torch.nn.functional.interpolate(coarse, size=64, mode="bicubic", align_corners=False)
    return Images((255 * fine).round().clamp(0, 255).to(torch.uint8))


class Repeats:
    """Draws from these images, changed."""

    def __init__(self, images, change=lambda image: image):
        self.images, self.change = images, change

    def sample(self, n, labels, generator):
        index = torch.randint(len(self.images), (n,), generator=generator)
        return self.change(to_float(self.images.pixels[index]))


def test_the_filters_are_the_5_x_5_binomial_one():
    image = torch.randn(1, 2, 12, 20, generator=rng(), dtype=torch.float64)
    for channel in range(2):
        one = image[0, channel].numpy()
        smooth = scipy.ndimage.convolve(one, FILTER, mode="mirror")
        assert np.allclose(down(image)[0, channel], smooth[::2, ::2])
        spread = np.zeros((24, 40))
        spread[::2, ::2] = 4 * one
        assert np.allclose(up(image)[0, channel], scipy.ndimage.convolve(spread, FILTER, mode="mirror"))


@pytest.mark.parametrize(("size", "levels"), [(64, [64, 32, 16]), (16, [16]), (28, [28]), (40, [40, 20])])
def test_a_pyramid_adds_up_to_its_image(size, levels):
    image = torch.randn(2, 3, size, size, generator=rng(), dtype=torch.float64)
    pyramid = laplacian_pyramid(image)
    assert [level.shape[2] for level in pyramid] == levels
    whole = pyramid[-1]
    for level in reversed(pyramid[:-1]):
        whole = up(whole) + level
    assert torch.allclose(whole, image)


def test_patches_are_windows_of_their_image():
    images = torch.arange(2 * 9 * 10).view(2, 1, 9, 10)
    found = patches(images, 300, rng()).view(2, 300, 7, 7)
    corners = {(int(patch[0, 0]) // 90, int(patch[0, 0]) % 90) for patch in found.flatten(0, 1)}
    assert corners == {(i, 10 * row + column) for i in range(2) for row in range(3) for column in range(4)}
    assert (found - found[..., :1, :1] == images[0, 0, :7, :7]).all()


def test_each_channel_is_normalized_over_all_patches():
    flat = normalized(5 + 3 * torch.randn(400, 3, 7, 7, generator=rng()))
    assert flat.shape == (400, 3 * 49)
    channels = flat.view(400, 3, 49).transpose(0, 1).flatten(1)
    assert torch.allclose(channels.mean(1), torch.zeros(3), atol=1e-5)
    assert torch.allclose(channels.std(1, correction=0), torch.ones(3), atol=1e-5)


def test_the_distance_of_a_shift_is_its_mean_projection():
    rows, shift = torch.randn(500, 6, generator=rng()), torch.tensor([3.0, 0, 0, 0, 0, 4])
    found = sliced_wasserstein(rows, rows[torch.randperm(500)] + shift, 20_000, rng())
    # E |<s, u>| for u uniform on the sphere in 6 dimensions: |s| Gamma(3) / (sqrt(pi) Gamma(3.5)).
    assert found == pytest.approx(5 * 2 / (np.sqrt(np.pi) * 3.32335), rel=0.01)
    assert sliced_wasserstein(rows, rows.flip(0), 200, rng()) == pytest.approx(0, abs=1e-6)


def test_in_one_dimension_it_is_the_wasserstein_distance():
    a, b = torch.randn(300, 1, generator=rng()), torch.rand(300, 1, generator=rng())
    expected = scipy.stats.wasserstein_distance(a[:, 0].numpy(), b[:, 0].numpy())
    assert sliced_wasserstein(a, b, 10, rng()) == pytest.approx(expected, rel=1e-5)


def test_each_scale_sees_what_is_wrong_with_it(build, context, pictures):
    def score(change=lambda image: image):
        data = role_data({"train": pictures})
        evaluator = build("evaluator", "sliced_wasserstein", n=150, patches=32, directions=256)
        return evaluator.evaluate(Repeats(pictures, change), data, context).scalars

    same = score()
    assert list(same) == [f"sliced_wasserstein_150/{name}" for name in (64, 32, 16, "mean", "real")]
    assert same["sliced_wasserstein_150/mean"] < 2 * same["sliced_wasserstein_150/real"]
    speckled = score(lambda image: image + 0.1 * torch.randn(image.shape, generator=rng()))
    assert speckled["sliced_wasserstein_150/64"] > 3 * same["sliced_wasserstein_150/64"]
    assert speckled["sliced_wasserstein_150/16"] < 1.1 * same["sliced_wasserstein_150/16"]
    collapsed = score(lambda image: image[:1].expand_as(image))
    assert collapsed["sliced_wasserstein_150/16"] > 3 * same["sliced_wasserstein_150/16"]
    assert score() == same


def test_of_a_small_folder_it_takes_half_and_says_so(build, context, pictures):
    data = role_data({"train": Images(pictures.pixels[:41])})
    evaluator = build("evaluator", "sliced_wasserstein", n=1000, patches=8, directions=32)
    found = evaluator.evaluate(Repeats(pictures), data, context)
    assert found.headline == ("sliced_wasserstein_20/mean", "sliced_wasserstein_20/real")


def test_images_smaller_than_a_patch_are_refused(build):
    tiny = Images(torch.zeros(40, 1, 6, 6, dtype=torch.uint8))
    data = role_data({"train": tiny}, checking=True)
    with pytest.raises(UserError, match="cannot take images of 6 x 6: it wants 7 pixels a side or more"):
        build("evaluator", "sliced_wasserstein", n=20).check(Repeats(tiny), data)
