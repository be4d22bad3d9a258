"""Metrics of any author, fed with what they read: ours, torchmetrics', and others of that form.

What a metric reads is its attribute `reads`; of torchmetrics it follows from the package it comes from:

* 'features': `Features` of an extractor, with a parameter `real`;
* 'vectors': the same as a tensor N x d, for metrics that know nothing of extractors;
* 'images': uint8 N x C x H x W, or pairs of float images in [0, 1];
* 'classes': logits or probabilities N x K, and labels N.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from pluglab.components import Component
from pluglab.data import to_float, to_uint8
from pluglab.errors import UserError
from pluglab.protocols import Better
from pluglab_metrics.extractors.base import Features

Reads = Literal["features", "vectors", "images", "classes"]
Values = Literal["uint8", "[0, 1]", "[-1, 1]"]
ALL: tuple[Reads, ...] = ("features", "vectors", "images", "classes")
PACKAGES: dict[str, Reads] = {"torchmetrics.image": "images", "torchmetrics.classification": "classes"}
IMAGES = ("imgs", "images", "img", "img1")  # first parameters that say so


class RunningMetric:
    """A metric of a recipe, built, and how to call it. `name` is what its scores are called."""

    def __init__(self, component: Component) -> None:
        self.name, self.metric, self.options = component.name, component.build(), component.dump()
        self.reads = _reads(self.metric, component.name)
        parameters = inspect.signature(self.metric.update).parameters
        named = [name for name, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
        required = [name for name in named if parameters[name].default is inspect.Parameter.empty]
        self.tells_real = "real" in parameters
        self.takes_labels = "labels" in parameters
        self.pairs = len([name for name in required if name not in ("real", "labels")]) == 2
        self.values = _values(self.metric, self.pairs, self.tells_real)
        self._device = torch.device("cpu")

    @property
    def keys(self) -> Sequence[str] | None:
        """The names of its scores where it says so beforehand."""
        keys: Sequence[str] | None = getattr(self.metric, "keys", None)
        return keys

    @property
    def better(self) -> Better | None:
        """Whether more or less of its scores is better, where it says so: in an attribute `better`, or as the
        metrics of torchmetrics do."""
        own: Better | None = getattr(self.metric, "better", None)
        higher = getattr(self.metric, "higher_is_better", None)
        return own or (None if higher is None else "max" if higher else "min")

    @property
    def places(self) -> tuple[str, ...]:
        """The evaluators that can feed it."""
        if self.reads == "images" and self.pairs:
            return ("reconstructions",)
        if self.reads in ("images", "features") or self.tells_real:
            return ("generation_quality",)
        return ("classification", "generation_quality")

    def to(self, device: torch.device) -> None:
        """Compute there, where the metric is one that can be moved."""
        if callable(move := getattr(self.metric, "to", None)):
            move(device)
            self._device = device

    def reset(self) -> None:
        self.metric.reset()

    def update(self, *values: Any, real: bool | None = None, labels: Tensor | None = None) -> None:
        more: dict[str, Any] = {"real": real} if self.tells_real else {}
        if self.takes_labels and not real:
            more["labels"] = self._moved(labels)
        self.metric.update(*map(self._moved, values), **more)

    def of_features(self, real: Features, made: Features, labels: Tensor | None) -> dict[str, float]:
        """Its scores of generated against real images, and of the classes that were asked for."""
        self.reset()
        if self.reads == "classes" and not self.takes_labels:
            self.update(made.logits, labels)
        elif self.reads in ("features", "classes"):
            self.update(real, real=True)
            self.update(made, real=False, labels=labels)
        elif self.tells_real:
            self.update(real.features, real=True)
            self.update(made.features, real=False)
        elif self.pairs:
            count = min(len(real.features), len(made.features))
            self.update(made.features[:count], real.features[:count])
        else:
            self.update(made.features)
        return self.compute()

    def update_images(self, *images: Tensor, real: bool | None = None) -> None:
        """The same with images, uint8 or float in [-1, 1], as values that it reads."""
        self.update(*(_as_values(some, self.values) for some in images), real=real)

    def _moved(self, value: Any) -> Any:
        return value.to(self._device) if isinstance(value, Tensor) else value

    def compute(self) -> dict[str, float]:
        """Its scores by name."""
        return dict(named_scores(self.name, self.metric.compute()))

    def said_of(self, scores: Iterable[str]) -> dict[str, Better]:
        """What is better of these scores of it; of how far they scatter, nothing is."""
        better = self.better
        return {name: better for name in scores if "_std" not in name} if better else {}


def running_metrics(components: Sequence[Component], evaluator: str) -> list[RunningMetric]:
    """The metrics of an evaluator. Raises `UserError` for one that it has nothing to feed with, and for two
    whose scores would have one name."""
    found: list[RunningMetric] = []
    taken: set[str] = set()
    for running in map(RunningMetric, components):
        if evaluator not in running.places:
            what = f"'{evaluator}' cannot feed the metric '{running.name}', which reads {running.reads}"
            place = " or ".join(f"'{place}'" for place in running.places)
            raise UserError(what, help=[f"it has its place in the evaluator {place}"])
        names = set(running.keys or [running.name])
        if taken & names:
            message = f"two metrics of '{evaluator}' would report '{min(taken & names)}'"
            raise UserError(message, help=["give one of them to an evaluator of its own"])
        taken |= names
        found.append(running)
    return found


def _reads(metric: Any, name: str) -> Reads:
    own = getattr(metric, "reads", None)
    if own is not None:
        if own not in ALL:
            raise UserError(f"metric '{name}' reads {own!r}", help=[f"it is one of {', '.join(ALL)}"])
        found: Reads = own
        return found
    for base in type(metric).__mro__:
        for package, reads in PACKAGES.items():
            if base.__module__.startswith(package):
                return reads
    first = next(iter(inspect.signature(metric.update).parameters), "")
    return "images" if first in IMAGES else "vectors"


def _values(metric: Any, pairs: bool, tells_real: bool) -> Values:
    """The values of the images that a metric reads. Where torchmetrics' take another range than most, they
    have an attribute `normalize`: with False they want [-1, 1] of pairs and else uint8, with True [0, 1]."""
    normalize = getattr(metric, "normalize", None)
    if pairs:
        return "[-1, 1]" if normalize is False else "[0, 1]"
    whole = tells_real or hasattr(metric, "reads") or normalize is False
    return "uint8" if whole and normalize is not True else "[0, 1]"


def _as_values(images: Tensor, values: Values) -> Tensor:
    if values == "uint8":
        return to_uint8(images) if images.is_floating_point() else images
    signed = images.float() if images.is_floating_point() else to_float(images)
    return signed.clamp(-1, 1) if values == "[-1, 1]" else (signed + 1).div(2).clamp(0, 1)


def named_scores(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """A score under the metric's name; a pair as mean and deviation; several, numbered or by their names."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from named_scores(str(key), item)
    elif isinstance(value, (tuple, list)) and len(value) == 2:
        yield from named_scores(name, value[0])
        yield from named_scores(f"{name}_std", value[1])
    elif isinstance(value, (tuple, list)) or (isinstance(value, Tensor) and value.numel() > 1):
        items = value.flatten() if isinstance(value, Tensor) else value
        for index, item in enumerate(items):
            yield from named_scores(f"{name}_{index}", item)
    else:
        yield name, float(value)
