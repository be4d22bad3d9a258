from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from pluglab.data import Images
from pluglab.errors import UserError
from pluglab.protocols import DataContext
from pluglab_datasets import digits as module
from pluglab_datasets.blend import blend

Build = Callable[..., Any]


@pytest.fixture
def prepared(build: Build, context: DataContext) -> Callable[..., Any]:
    def prepare(name: str, **options: Any) -> Any:
        dataset = build("dataset", name, **options)
        dataset.prepare(context)
        return dataset

    return prepare


@pytest.mark.parametrize(("name", "channels"), [("digits", 1), ("digits_m", 3)])
@pytest.mark.parametrize("size", [28, 32])
def test_counts_shapes_and_classes(prepared: Build, name: str, channels: int, size: int) -> None:
    train, test = (prepared(name, size=size).split(s) for s in ("train", "test"))
    assert (len(train), len(test)) == (1347, 450)
    assert train.pixels.shape[1:] == test.pixels.shape[1:] == (channels, size, size)
    assert train.classes == tuple("0123456789")
    every = np.bincount(load_digits().target)
    assert np.abs(np.bincount(test.labels) - every * 0.25).max() <= 1
    assert np.array_equal(np.bincount(train.labels) + np.bincount(test.labels), every)


def test_the_picture_is_the_original_digit(prepared: Build) -> None:
    """Averaged back over 4 x 4 blocks, an enlarged digit is close to an original of its class."""
    test = prepared("digits", margin=0).split("test")
    small = test.pixels.float().reshape(-1, 8, 4, 8, 4).mean((2, 4)).flatten(1) * 16 / 255
    originals = torch.tensor(load_digits().data).float()
    distance, nearest = torch.cdist(small, originals).min(1)
    assert distance.max() < 12  # of a mean norm of 60
    assert torch.equal(torch.tensor(load_digits().target)[nearest], test.labels)
    assert len(nearest.unique()) == len(test)


def test_the_digits_of_the_two_splits_are_disjoint_and_the_same_in_both_data_sets(prepared: Build) -> None:
    gray, color = prepared("digits"), prepared("digits_m")
    rows = {s: {row.tobytes() for row in gray.split(s).pixels.numpy()} for s in ("train", "test")}
    assert not rows["train"] & rows["test"]
    for split in ("train", "test"):
        assert torch.equal(gray.split(split).labels, color.split(split).labels)


def test_digits_m_depends_on_its_seed_and_on_no_global_generator(prepared: Build) -> None:
    np.random.seed(1)  # noqa: NPY002
    first = prepared("digits_m").split("train")
    np.random.seed(2)  # noqa: NPY002
    again, other = prepared("digits_m").split("train"), prepared("digits_m", seed=1).split("train")
    assert torch.equal(first.pixels, again.pixels)
    assert not torch.equal(first.pixels, other.pixels)
    assert first.digest == again.digest != other.digest


def test_train_and_test_crops_come_from_disjoint_regions(
    prepared: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Photographs whose pixel tells the column's band: a corner, where the digit is blank, shows it."""
    bands = np.repeat(50 * np.arange(5, dtype=np.uint8), module.BAND)
    photo = np.broadcast_to(bands[None, :, None], (200, len(bands), 3))
    monkeypatch.setattr("sklearn.datasets.load_sample_images", lambda: SimpleNamespace(images=[photo]))
    dataset = prepared("digits_m")
    corners = {
        split: dataset.split(split).pixels[:, 0, [0, 0, -1, -1], [0, -1, 0, -1]].float().div(50).round()
        for split in ("train", "test")
    }
    found = {split: set(values.flatten().tolist()) for split, values in corners.items()}
    assert found == {"train": {0, 2, 4}, "test": {1, 3}}


def test_blend_is_the_difference_for_each_channel() -> None:
    photo = np.empty((40, 50, 3), np.uint8)
    photo[:] = (10, 100, 250)
    digits = np.random.default_rng(0).integers(0, 256, (5, 8, 8), dtype=np.uint8)
    blended = blend(digits, [photo], np.random.default_rng(0))
    for channel, level in enumerate((10, 100, 250)):
        assert np.array_equal(blended[:, channel], np.abs(level - digits.astype(int)))


def test_blend_crops_every_place_of_every_photo() -> None:
    photos = [
        np.full((6, 7, 3), k * 100, np.uint8) + np.arange(42, dtype=np.uint8).reshape(6, 7, 1) for k in (0, 1)
    ]
    blank = np.zeros((2000, 4, 4), np.uint8)
    first = blend(blank, photos, np.random.default_rng(0))[:, 0, 0, 0]
    places = {k * 100 + row * 7 + column for k in (0, 1) for row in range(3) for column in range(4)}
    assert set(first.tolist()) == places


def flat(images: Images) -> np.ndarray:
    return images.pixels.float().mean(1).flatten(1).numpy() / 255


def test_the_domain_gap_is_real(prepared: Build) -> None:
    gray, color = prepared("digits", size=16), prepared("digits_m", size=16)
    fit = LogisticRegression(max_iter=200).fit(flat(gray.split("train")), gray.split("train").labels)
    assert fit.score(flat(gray.split("test")), gray.split("test").labels) > 0.93
    assert fit.score(flat(color.split("test")), color.split("test").labels) < 0.6


def test_an_unknown_split_is_an_error_that_names_the_splits(prepared: Build) -> None:
    with pytest.raises(UserError, match="no split 'validation'") as caught:
        prepared("digits").split("validation")
    assert "train, test" in caught.value.render()
