"""What is asked of data sets and of transforms."""

from __future__ import annotations

import json
import os
from typing import Any

import torch
from torch import Tensor

from pluglab import Images, UserError, data_context
from pluglab.conformance import check_split, check_transformed, place_in, plain, random_state, seed_everything
from pluglab_testing import tiny
from pluglab_testing.checking import Fault, NotDone, check, first_difference, same
from pluglab_testing.subjects import Part

SPLITS = "train", "test"
CLOSE = 1e-4

# Data sets -----------------------------------------------------------------------------------------------


def _prepared(part: Part) -> Any:
    """A new one, ready to be read. Raises `NotDone` where its files are not here."""
    dataset = part.built()
    try:
        dataset.prepare(data_context(os.environ.get("LAB_DATA_ROOT")))
    except UserError as error:
        if error.where:
            raise
        raise NotDone(error.message) from error
    return dataset


def _splits(part: Part) -> dict[str, Images]:
    def read() -> dict[str, Images]:
        dataset = part.once("dataset", lambda: _prepared(part))
        return {name: check_split(dataset, name, dataset.split(name)) for name in SPLITS}

    return part.once("splits", read)


@check("dataset", "splits", gates=True)
def has_splits(part: Part) -> None:
    """The splits 'train' and 'test' are images, uint8 N x C x H x W, of one shape, and none is empty"""
    splits = _splits(part)
    at = place_in(part.target, "split")
    for name, images in splits.items():
        if not len(images):
            raise Fault(f"its split '{name}' is empty", where=at)
    shapes = {name: images.spec.shape for name, images in splits.items()}
    if len(set(shapes.values())) > 1:
        words = ", ".join(f"{name} {' x '.join(map(str, shape))}" for name, shape in shapes.items())
        raise Fault(f"its splits differ in shape: {words}", where=at)


@check("dataset", "labels")
def labels_are_named(part: Part) -> None:
    """Labels that are classes have names, the same in each split"""
    splits = _splits(part)
    at = place_in(part.target, "split")
    for name, images in splits.items():
        if images.labels is not None and images.labels.ndim == 1 and images.classes is None:
            help = ["Images(pixels, labels, classes=(...)): every classifier refuses labels without names"]
            raise Fault(f"the labels of '{name}' have no class names", help=help, where=at)
    if len({images.classes for images in splits.values()}) > 1:
        raise Fault("its splits have other class names", where=at)


@check("dataset", "other splits")
def refuses_other_splits(part: Part) -> None:
    """A split that there is not is refused with a `UserError`"""
    _splits(part)
    dataset = part.once("dataset", lambda: _prepared(part))
    at = place_in(part.target, "split")
    try:
        dataset.split("no_such_split")
    except UserError:
        return
    except Exception as error:
        message = f"a split that there is not ends in {type(error).__name__}, not in a UserError"
        raise Fault(message, help=["name the splits that there are in its help"], where=at) from error
    raise Fault("split('no_such_split') returns images", help=["raise a UserError for it"], where=at)


@check("dataset", "twice")
def is_the_same_again(part: Part) -> None:
    """Another one has the same images, whatever the global random generators are at, and seeds none"""
    splits = _splits(part)
    seed_everything(123)
    before = random_state()
    again = _prepared(part)
    for name in SPLITS:
        if again.split(name).digest != splits[name].digest:
            help = ["a generator of its own with a fixed seed: torch.Generator().manual_seed(...)"]
            raise Fault(
                f"'{name}' has other images the second time", help=help, where=place_in(part.target, "split")
            )
    if first_difference(before, random_state()):
        raise Fault(
            "it draws from a global random generator",
            help=["what is drawn after it, weights for one, would depend on whether it was read"],
            where=place_in(part.target, "split"),
        )


@check("dataset", "provenance")
def provenance_is_plain(part: Part) -> None:
    """What it says of where its images come from can be written as JSON"""
    for name, images in _splits(part).items():
        try:
            json.dumps(plain(images.provenance))
        except (TypeError, ValueError) as error:
            message = f"the provenance of '{name}' cannot be recorded: {error}"
            raise Fault(message, where=place_in(part.target, "split")) from error


# Transforms ------------------------------------------------------------------------------------------------


class _Tried:
    """A transform, and images that it takes: colored ones, or gray where it refuses these."""

    def __init__(self, part: Part) -> None:
        self.part, self.transform = part, part.built()
        self.at = place_in(part.target, "__call__")
        shapes = [part.shape] if part.shape else list(tiny.SHAPES)
        self.images = tiny.rows(shapes[0], 0, tiny.COUNT).images
        for shape in shapes:
            self.images = tiny.rows(shape, 0, tiny.COUNT).images
            try:
                self(1)
            except UserError as error:
                if error.where:
                    raise
            else:
                return

    def __call__(self, seed: int, images: Tensor | None = None) -> Tensor:
        given = (self.images if images is None else images).clone(memory_format=torch.preserve_format)
        made = self.transform(given, torch.Generator().manual_seed(seed))
        found: Tensor = check_transformed(self.transform, self.images if images is None else images, made)
        return found


@check("transform", "images", gates=True)
def gives_images(part: Part) -> None:
    """It makes as many float32 images of as many, all finite"""
    tried = _Tried(part)
    found = tried(1)
    if found.dtype != tried.images.dtype:
        raise Fault(f"it makes {found.dtype} of float32", where=tried.at)
    if not found.isfinite().all():
        raise Fault("it makes values that are not finite", where=tried.at)


@check("transform", "random")
def tells_whether_it_is_random(part: Part) -> None:
    """`random` says whether it is: evaluations leave out those that are"""
    tried = _Tried(part)
    says = getattr(tried.transform, "random", None)
    if not isinstance(says, bool):
        raise Fault(f"its `random` is {says!r}: it must be True or False", where=tried.at)
    seeds = [tried(seed) for seed in (1, 2, 3, 4)]
    differs = any(not same(seeds[0], one) for one in seeds[1:])
    if differs and not says:
        help = ["random = True, so that evaluations leave it out"]
        raise Fault("it depends on its generator and says that it is not random", help=help, where=tried.at)


@check("transform", "generator")
def draws_from_its_generator(part: Part) -> None:
    """All its randomness comes from the generator that it is given"""
    tried = _Tried(part)
    seed_everything(21)
    before = random_state()
    one = tried(1)
    drawn = first_difference(before, random_state())
    seed_everything(22)
    if drawn or not same(one, tried(1)):
        help = ["torch.rand(..., generator=generator)"]
        raise Fault(
            "it draws from a global random generator, or from one of its own", help=help, where=tried.at
        )


@check("transform", "one image")
def treats_each_image_alone(part: Part) -> None:
    """What it makes of an image does not depend on those beside it, unless it is random"""
    tried = _Tried(part)
    one = tried(1, tried.images[:1])
    if len(one) != 1 or not one.isfinite().all():
        raise Fault("of one image it makes values that are not finite", where=tried.at)
    if getattr(tried.transform, "random", False):
        return
    if not torch.allclose(tried(1)[:1], one, rtol=CLOSE, atol=CLOSE):
        help = ["statistics over dim=(1, 2, 3) are those of each image"]
        raise Fault("what it makes of an image depends on the others of its batch", help=help, where=tried.at)
