"""What is asked of what a trainer can do besides training: shapes, ranges, and nothing changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from pluglab import capabilities
from pluglab.capabilities import can
from pluglab.conformance import check_findings, own_random_numbers, place_in, random_state
from pluglab.evaluating import classes_of, cycle_labels
from pluglab_testing.checking import Fault, NotAsked, check, first_difference
from pluglab_testing.rig import Rig, evaluation_mode
from pluglab_testing.subjects import Part

SLACK = 1e-3  # by how much values may leave [-1, 1]
CLOSE = 1e-3
SAMPLES = 3


class Able:
    """A trainer after one step, in evaluation mode."""

    def __init__(self, part: Part, method: str) -> None:
        self.rig, self.part, self.method = part.once("able", lambda: _stepped(part)), part, method
        self.trainer: Any = self.rig.trainer

    @property
    def roles(self) -> list[str]:
        return [role.name for role in self.rig.roles]

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.rig.shape

    def call(self, *arguments: Any, method: str = "") -> Any:
        """What a method returns. Raises `Fault` where it changes the trainer."""
        method = method or self.method
        before = self.rig.state()
        with evaluation_mode(self.rig):
            modes = self._modes()
            found = getattr(self.trainer, method)(*arguments)
            if self._modes() != modes:
                self.refuse("changes the mode of a network", "the engine has put all into evaluation mode")
        if name := first_difference(before, self.rig.state()):
            self.refuse(f"changes the trainer: '{name}'", "it may be called at any time between two steps")
        return found

    def _modes(self) -> list[bool]:
        return [module.training for net in self.rig.networks().values() for module in net.modules()]

    def images(self, role: str) -> Tensor:
        return self.rig.batch(0, size=SAMPLES)[role].images

    def labels(self) -> Tensor | None:
        return cycle_labels(SAMPLES, classes_of(self.trainer))

    def refuse(self, what: str, *help: str) -> NoReturn:
        raise Fault(f"{self.method} {what}", help=help, where=place_in(self.part.target, self.method))

    def check_rows(self, found: Any, count: int, width: int | None, what: str) -> Tensor:
        """Finite numbers, count x width."""
        if not isinstance(found, Tensor) or not found.is_floating_point():
            self.refuse(f"returns {_kind(found)}: it must return {what}")
        shape = tuple(found.shape)
        if len(shape) != 2 or shape[0] != count or (width is not None and shape[1] != width):
            wanted = f"{count} x {width if width is not None else 'F'}"
            self.refuse(f"returns {_sizes(found)} for {_of(count, 'image')}: it must return {what}, {wanted}")
        if not found.isfinite().all():
            self.refuse("returns values that are not finite")
        return found.float()

    def check_images(self, found: Any, count: int, what: str = "returns") -> Tensor:
        """Floats in [-1, 1], count x C x H x W."""
        if not isinstance(found, Tensor) or not found.is_floating_point():
            self.refuse(f"{what} {_kind(found)}: it must be float images in [-1, 1]")
        if tuple(found.shape) != (count, *self.shape):
            wanted = " x ".join(map(str, (count, *self.shape)))
            self.refuse(f"{what} images of {_sizes(found)}: these are {wanted}")
        if not found.isfinite().all():
            self.refuse(f"{what} values that are not finite")
        low, high = found.min().item(), found.max().item()
        if low < -1 - SLACK or high > 1 + SLACK:
            self.refuse(f"{what} values from {low:.3g} to {high:.3g}: images are in [-1, 1]", "clamp them")
        return found.float()


def _stepped(part: Part) -> Rig:
    rig = Rig(part)
    rig.step(0)
    return rig


def _kind(value: Any) -> str:
    return f"a tensor of {value.dtype}" if isinstance(value, Tensor) else type(value).__name__


def _sizes(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"


def _of(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _capability(wanted: type, method: str) -> Callable[[Callable[[Able], None]], None]:
    """A check of trainers that have a capability; for others it is well as it is."""

    def mark(function: Callable[[Able], None]) -> None:
        def run(part: Part) -> None:
            able = Able(part, method)
            if not can(able.trainer, wanted):
                raise NotAsked
            try:
                function(able)
            except Exception:  # what is left of the trainer is for nobody else
                part.kept.pop("able", None)
                raise

        run.__doc__ = function.__doc__
        check("trainer", method)(run)

    return mark


def _each_by_itself(able: Able, role: str, width: int | None, what: str) -> Tensor:
    """What a method says of images, which it must also say of each of them alone."""
    images = able.images(role)
    together = able.check_rows(able.call(images, role), SAMPLES, width, what)
    alone = [able.check_rows(able.call(one[None], role), 1, together.shape[1], what) for one in images]
    if not torch.allclose(together, torch.cat(alone), rtol=CLOSE, atol=CLOSE):
        able.refuse(
            f"says something else of an image of '{role}' alone than among others",
            "a network in training mode uses the statistics of its batch",
        )
    return together


@_capability(capabilities.Classifies, "predict")
def predicts(able: Able) -> None:
    """Class logits N x K, of one image as of several, an image's whatever is beside it"""
    for role in able.roles:
        _each_by_itself(able, role, able.rig.specs()[role].num_classes, "class logits")


@_capability(capabilities.Embeds, "embed")
def embeds(able: Able) -> None:
    """Features N x F, of one image as of several, an image's whatever is beside it"""
    for role in able.roles:
        _each_by_itself(able, role, None, "features")


@_capability(capabilities.ClassifiesFeatures, "predict_features")
def predicts_features(able: Able) -> None:
    """The logits of `embed`'s features are those of `predict`"""
    for role in able.roles:
        images = able.images(role)
        features = able.call(images, role, method="embed")
        found, wanted = able.call(features, role), able.call(images, role, method="predict")
        if not torch.allclose(found.float(), wanted.float(), rtol=CLOSE, atol=CLOSE):
            able.refuse(f"gives other logits than predict for the features that embed has of '{role}'")


@_capability(capabilities.Samples, "sample")
def samples(able: Able) -> None:
    """Images in [-1, 1], one as several; their noise comes from the generator alone"""
    drawn = [_sample(able, seed) for seed in (1, 1, 2)]
    if not torch.equal(drawn[0], drawn[1]):
        able.refuse("draws other images from the same generator")
    if torch.equal(drawn[0], drawn[2]):
        able.refuse("draws the same images from another generator", "draw all noise from it")
    labels = able.labels()
    one = able.call(1, None if labels is None else labels[:1], torch.Generator().manual_seed(1))
    able.check_images(one, 1, "draws")


def _sample(able: Able, seed: int) -> Tensor:
    with own_random_numbers(seed):
        before = random_state()
        found = able.call(SAMPLES, able.labels(), torch.Generator().manual_seed(seed))
        if first_difference(before, random_state()):
            able.refuse(
                "draws from a global random generator", "draw all noise from the one that it is given"
            )
    return able.check_images(found, SAMPLES, "draws")


@_capability(capabilities.Generates, "generate")
def generates(able: Able) -> None:
    """Images in [-1, 1] of its own latents"""
    latents = [able.call(SAMPLES, torch.Generator().manual_seed(1), method="latents") for _ in "ab"]
    if not isinstance(latents[0], Tensor) or len(latents[0]) != SAMPLES:
        able.method = "latents"
        able.refuse(f"returns {_kind(latents[0])}: it must return {SAMPLES} latents")
    if not torch.equal(*latents):
        able.method = "latents"
        able.refuse("draws other latents from the same generator")
    able.check_images(able.call(latents[0], able.labels()), SAMPLES, "makes")


@_capability(capabilities.Reconstructs, "reconstruct")
def reconstructs(able: Able) -> None:
    """Images in [-1, 1] of the shape of the images, or several kinds of them by name"""
    for role in able.roles:
        found = able.call(able.images(role), role)
        kinds = found if isinstance(found, Mapping) else {"": found}
        for images in kinds.values():
            able.check_images(images, SAMPLES)


@_capability(capabilities.Translates, "translate")
def translates(able: Able) -> None:
    """Images in [-1, 1] of another of its roles, for each pair of roles that `translations` names"""
    pairs = able.trainer.translations
    if not pairs or not all(len(pair) == 2 and set(pair) <= set(able.roles) for pair in pairs):
        able.refuse(f"is for {pairs!r}: `translations` must be pairs of its roles, (from, to)")
    for role, to in pairs:
        able.check_images(able.call(able.images(role), role, to), SAMPLES)


@_capability(capabilities.Traces, "trajectory")
def traces(able: Able) -> None:
    """(times, images), frames x n x C x H x W"""
    found = able.call(SAMPLES, able.labels(), torch.Generator().manual_seed(1), 4)
    if not isinstance(found, (tuple, list)) or len(found) != 2:
        able.refuse(f"returns {_kind(found)}: it must return (times, images)")
    times, frames = found
    if not isinstance(frames, Tensor) or tuple(frames.shape[1:]) != (SAMPLES, *able.shape):
        able.refuse("must return images, frames x n x C x H x W")
    if len(times) != len(frames):
        able.refuse(f"returns {len(times)} times and {len(frames)} frames")


@_capability(capabilities.Diagnoses, "diagnose")
def diagnoses(able: Able) -> None:
    """A list of texts, whatever was logged"""
    logs = {name: value.item() for name, value in able.rig.step(1).items()}
    for scalars in (logs, dict.fromkeys(logs, 0.0), {}):
        check_findings(able.trainer, able.call(scalars))


@_capability(capabilities.HasNetworks, "networks")
def has_networks(able: Able) -> None:
    """Networks by name, each with inputs that it takes"""
    found = able.call()
    if not isinstance(found, Mapping) or not found:
        able.refuse(f"returns {_kind(found)}: it must return networks by name")
    for name, pair in found.items():
        if not isinstance(pair, Sequence) or len(pair) != 2 or not isinstance(pair[0], nn.Module):
            able.refuse(f"must give '{name}' as (network, inputs)")
        network, inputs = pair
        if not isinstance(inputs, tuple) or not all(isinstance(one, Tensor) for one in inputs):
            able.refuse(f"must give the inputs of '{name}' as a tuple of tensors")
        with evaluation_mode(able.rig):
            network(*inputs)


@_capability(capabilities.HasSampling, "sampling")
def has_sampling(able: Able) -> None:
    """Options that can be put back"""
    from pydantic import BaseModel

    value = able.trainer.sampling
    if not isinstance(value, BaseModel):
        able.refuse(f"is {_kind(value)}: it must be Options")
    able.trainer.sampling = type(value).model_validate(dict(value))
