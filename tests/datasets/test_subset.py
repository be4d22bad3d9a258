from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from pluglab.data import Images
from pluglab.errors import UserError
from pluglab.protocols import DataContext
from pluglab_datasets.subset import Subset

Build = Callable[..., Any]


@pytest.fixture
def prepared(build: Build, context: DataContext) -> Callable[..., Subset]:
    def prepare(**options: Any) -> Subset:
        dataset = build("dataset", "subset", of={"name": "digits", "size": 16}, **options)
        dataset.prepare(context)
        return dataset

    return prepare


@pytest.fixture
def whole(build: Build, context: DataContext) -> Images:
    dataset = build("dataset", "digits", size=16)
    dataset.prepare(context)
    return dataset.split("train")


def test_without_options_it_is_the_data_set(prepared: Build, whole: Images) -> None:
    assert prepared().split("train").digest == whole.digest


def test_some_classes_are_kept_under_their_names_in_the_order_asked(prepared: Build, whole: Images) -> None:
    assert whole.labels is not None
    for split in ("train", "test"):
        found = prepared(classes=["7", "2"]).split(split)
        assert found.classes == ("7", "2")
        assert set(found.labels.tolist()) == {0, 1}
    found = prepared(classes=["7", "2"]).split("train")
    for name in ("7", "2"):
        mine = found.pixels[found.labels == found.classes.index(name)]
        assert torch.equal(mine, whole.pixels[whole.labels == int(name)])


def test_held_out_images_are_the_other_training_images(prepared: Build, whole: Images) -> None:
    dataset = prepared(held_out=0.1)
    train, held_out = dataset.split("train"), dataset.split("held_out")
    assert (len(train), len(held_out)) == (1347 - 135, 135)
    both = torch.cat([train.pixels, held_out.pixels]).flatten(1)
    assert sorted(both.tolist()) == sorted(whole.pixels.flatten(1).tolist())
    assert len(dataset.split("test")) == 450  # is as it was


def test_the_seed_alone_says_which_are_held_out(prepared: Build) -> None:
    found = [prepared(held_out=0.1, seed=seed).split("held_out").digest for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]


def test_what_is_held_out_does_not_depend_on_labels(prepared: Build, whole: Images) -> None:
    with_labels, without = prepared(held_out=0.2), prepared(held_out=0.2)
    without.dataset = Given({"train": replace(whole, labels=None, classes=None)})
    assert torch.equal(with_labels.split("held_out").pixels, without.split("held_out").pixels)


class Given:
    def __init__(self, splits: dict[str, Images]) -> None:
        self.splits = splits

    def prepare(self, context: DataContext) -> None: ...

    def split(self, name: str) -> Images:
        return self.splits[name]


def test_extras_go_with_their_images(prepared: Build, whole: Images) -> None:
    dataset = prepared(classes=["3"], held_out=0.5)
    numbered = replace(whole, extra={"row": torch.arange(len(whole))})
    dataset.dataset = Given({"train": numbered})
    found = dataset.split("held_out")
    assert torch.equal(found.pixels, whole.pixels[found.extra["row"]])


def test_provenance_says_what_was_taken(prepared: Build, whole: Images) -> None:
    found = prepared(classes=["3"], held_out=0.5).split("train").provenance
    assert found["source"] == whole.provenance["source"]
    assert found["subset"] == {"classes": ("3",), "held_out": 0.5}


@pytest.mark.parametrize(
    ("options", "split", "words"),
    [
        ({"classes": ["11"]}, "train", "data set 'digits' has no class '11'"),
        ({"held_out": 1e-5}, "train", "leaves no split"),
        ({}, "held_out", "data set 'digits' has no split 'held_out'"),
        ({"held_out": 0.5}, "validation", "data set 'digits' has no split 'validation'"),
    ],
)
def test_what_there_is_not_is_a_clear_error(prepared: Build, options, split: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        prepared(**options).split(split)


def test_classes_of_unlabeled_images_cannot_be_chosen(prepared: Build, whole: Images) -> None:
    dataset = prepared(classes=["1"])
    dataset.dataset = Given({"train": replace(whole, labels=None, classes=None)})
    with pytest.raises(UserError, match="`classes` can be chosen only where every image has one"):
        dataset.split("train")
