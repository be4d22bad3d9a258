"""Batches of the training data: their values, their layout, and no second copy of the images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pluglab.data.batches import ImageArray, ImageArrays, Stream, batch_indices
from pluglab.images import Images

CPU = torch.device("cpu")


def some_images(channels: int, count: int = 20) -> Images:
    draw = torch.Generator().manual_seed(channels)
    pixels = torch.randint(0, 256, (count, channels, 5, 7), generator=draw, dtype=torch.uint8)
    return Images(pixels, torch.arange(count), extra={"place": torch.arange(count) * 10})


def as_it_was(images: Images, index: Tensor | slice, *, channels_last: bool) -> Tensor:
    """A batch out of an array of N x H x W x C, as all images were once copied into."""
    pixels = (images.pixels.permute(0, 2, 3, 1) if channels_last else images.pixels).contiguous()[index]
    pixels = pixels.permute(0, 3, 1, 2) if channels_last else pixels
    return pixels.float().mul_(2 / 255).sub_(1)


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("index", [torch.tensor([3, 19, 3, 0]), slice(4, 11)])
def test_a_batch_has_the_values_and_the_layout_of_the_array_that_was(
    index: Tensor | slice, channels: int, channels_last: bool
) -> None:
    images = some_images(channels)
    for one in (images, images.in_color()):
        found = ImageArray(one, CPU, channels_last=channels_last).take(index)
        wanted = as_it_was(one, index, channels_last=channels_last)
        assert torch.equal(found, wanted) and found.dtype == torch.float32
        assert found.is_contiguous(memory_format=torch.channels_last) or not channels_last
        assert found.is_contiguous() or channels_last


@pytest.mark.parametrize("channels_last", [True, False])
def test_no_image_is_stored_twice(channels_last: bool, tmp_path: Path) -> None:
    np.save(tmp_path / "pixels.npy", some_images(3).pixels.numpy())
    mapped = np.load(tmp_path / "pixels.npy", mmap_mode="c")
    gray = some_images(1)
    for images in (some_images(3), gray, gray.in_color(), Images(torch.from_numpy(mapped))):
        stream = Stream(images, "train", seed=0, batch_size=4, device=CPU, channels_last=channels_last)
        assert stream.array.pixels.data_ptr() == images.pixels.data_ptr()


def test_training_and_evaluations_share_what_is_on_the_device() -> None:
    arrays, images = ImageArrays(), some_images(3)
    one = arrays.of("train", "train", images.without_labels(), CPU, channels_last=True)
    assert arrays.of("train", "train", images, CPU, channels_last=True) is one
    assert arrays.of("train", "test", images, CPU, channels_last=True) is not one
    assert arrays.of("other", "train", images, CPU, channels_last=True) is not one


def test_a_batch_is_a_function_of_seed_role_and_step() -> None:
    images = some_images(3)
    stream = Stream(images, "train", seed=5, batch_size=8, device=CPU, channels_last=True)
    batch, index = stream.batch(2), batch_indices(5, "train", 2, 20, 8)
    assert torch.equal(batch.images, as_it_was(images, index, channels_last=True))
    assert batch.labels is not None and torch.equal(batch.labels, index)
    assert torch.equal(batch.extra["place"], index * 10)
    assert index.tolist() == [14, 9, 2, 11, 14, 4, 6, 2]
