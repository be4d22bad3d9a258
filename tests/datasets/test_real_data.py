"""The real files, below LAB_DATA_ROOT."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import datasets as torchvision

from pluglab.plugins.registry import Registry
from pluglab.protocols import DataContext
from pluglab.recipe.resolve import make

from .conftest import Bar

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not os.environ.get("LAB_DATA_ROOT"), reason="set LAB_DATA_ROOT to the real data sets"),
]
Prepare = Callable[..., Any]


@pytest.fixture(scope="module")
def root() -> Path:
    return Path(os.environ["LAB_DATA_ROOT"])


@pytest.fixture(scope="module")
def prepare(registry: Registry, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepare:
    context = DataContext(root, tmp_path_factory.mktemp("cache"), Bar)

    def prepared(name: str, **options: Any) -> Any:
        dataset = make(registry, "dataset", name, download=False, **options).build()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset.prepare(context)
        return dataset

    return prepared


@pytest.mark.parametrize("name", ["mnist", "mnist_m"])
def test_the_labels_begin_as_those_of_mnist(prepare: Prepare, name: str) -> None:
    dataset = prepare(name)
    assert dataset.split("train").labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert dataset.split("test").labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert len(dataset.split("train")) in (60_000, 59_001)


def test_usps_is_what_torchvision_reads(prepare: Prepare, root: Path) -> None:
    reference = torchvision.USPS(str(root / "USPS"), train=True)
    train = prepare("usps", margin=8).split("train")
    assert len(train) == 7291
    assert train.labels.tolist() == reference.targets
    inner = train.pixels[:, 0, 8:-8, 8:-8].numpy().astype(int)
    assert np.abs(inner - reference.data).max() <= 1


def test_svhn_has_digits_of_every_class_and_more_ones_than_anything_else(prepare: Prepare) -> None:
    for split in ("train", "test"):
        counts = torch.bincount(prepare("svhn").split(split).labels)
        assert len(counts) == 10
        assert counts.min() > 0
    assert torch.bincount(prepare("svhn").split("train").labels).argmax() == 1


def test_the_release_of_mnist_m_is_our_recipe(prepare: Prepare, root: Path) -> None:
    """Its digits are those of MNIST in our frame: undoing |photo - digit| joins up across a stroke's edge.

    Where the stroke (all that is not black) meets the background, 255 - image and image are neighbors in one
    photograph, so they are close; they are not where the digit is placed, sized or cut off otherwise.
    """
    released = prepare("mnist_m", test=release(root)).split("test").pixels.float()
    digits = prepare("mnist").split("test").pixels[: len(released)].float()
    assert edge_jump(released, digits) < 15
    assert edge_jump(released, digits.roll(1, 3)) > 40
    assert edge_jump(released, digits.where(digits > 64, torch.zeros(()))) > 40


def test_a_built_mnist_m_looks_like_the_release(prepare: Prepare, root: Path) -> None:
    """Mean and deviation of the pixels, and the jump across strokes."""
    built = prepare("mnist_m", test="built").split("test").pixels.float()
    released = prepare("mnist_m", test=release(root)).split("test").pixels.float()
    assert len(built) == 10_000
    assert abs(built.mean() - released.mean()) < 12
    assert abs(built.std() - released.std()) < 12
    assert edge_jump(built, prepare("mnist").split("test").pixels.float()) < 15


def release(root: Path) -> str:
    """What there is of the original release: the archive, or arrays of the test split."""
    copies = [*root.glob("MNIST-M/mnist_m.tar.gz"), *root.glob("MNIST-M/*test*.npz")]
    if not copies:
        pytest.skip("the data root has nothing of the release of MNIST-M")
    return str(copies[0])


def edge_jump(images: torch.Tensor, digits: torch.Tensor) -> float:
    stroke = digits > 0
    photo = torch.where(stroke, 255 - images, images)
    edge = stroke[..., 1:] != stroke[..., :-1]
    return photo.diff(dim=3).abs().mean(1, keepdim=True)[edge].mean().item()
