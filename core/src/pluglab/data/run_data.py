"""The data of a run: every role's splits, prepared once, checked against what the trainer asks for."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pluglab.components import Component
from pluglab.data.batches import ImageArray, Images, in_batches
from pluglab.errors import UserError
from pluglab.protocols import DataContext, Evaluator, ImageSpec, Prepares, Role, Transform
from pluglab.recipe.recipe import Recipe, RoleData

SPLITS = ("train", "test")


class Library:
    """Data sets and evaluators by their options: the runs of an experiment prepare and hold each once."""

    def __init__(self, context: DataContext) -> None:
        self.context = context
        self._datasets: dict[str, Any] = {}
        self._splits: dict[tuple[str, str], Images] = {}
        self._evaluators: dict[str, Evaluator] = {}

    def split(self, data: RoleData, name: str) -> Images:
        """One split, never empty. Raises `UserError`."""
        key = _key(data.dataset)
        if key not in self._datasets:
            dataset = data.dataset.build()
            dataset.prepare(self.context)
            self._datasets[key] = dataset
        if (key, name) not in self._splits:
            images = self._datasets[key].split(name)
            if len(images) == 0:
                raise UserError(f"data set '{data.dataset.name}' has no images in its '{name}' split")
            self._splits[key, name] = images
        return self._splits[key, name]

    def evaluator(self, component: Component) -> Evaluator:
        """The evaluator, ready to look. Raises `UserError` where it cannot be made so."""
        key = _key(component)
        if key not in self._evaluators:
            evaluator: Evaluator = component.build()
            if isinstance(evaluator, Prepares):
                evaluator.prepare(self.context)
            self._evaluators[key] = evaluator
        return self._evaluators[key]


def _key(component: Component) -> str:
    return json.dumps(component.dump(), sort_keys=True)


@dataclass
class RoleSplits(Mapping[str, "EvaluationSplit"]):
    """The splits of one role as evaluators see them, loaded when first asked for."""

    role: str
    load: Callable[[str], Images]
    transforms: tuple[Transform, ...]
    device: torch.device
    channels_last: bool
    labels_read: set[str]
    _known: dict[str, EvaluationSplit] = field(default_factory=dict)

    def __getitem__(self, split: str) -> EvaluationSplit:
        if split not in self._known:
            self._known[split] = EvaluationSplit(self, split, self.load(split))
        return self._known[split]

    def __iter__(self) -> Iterator[str]:
        return iter(SPLITS)

    def __len__(self) -> int:
        return len(SPLITS)


class EvaluationSplit:
    """One split of one role; see `protocols.EvaluationData`."""

    def __init__(self, splits: RoleSplits, split: str, images: Images) -> None:
        self._splits, self._images = splits, images
        self.role, self.split, self.spec = splits.role, split, images.spec
        self._array: ImageArray | None = None

    @property
    def labelled(self) -> bool:
        return self._images.labels is not None

    @property
    def labels(self) -> Tensor:
        self._splits.labels_read.add(self.role)
        if self._images.labels is None:
            raise UserError(f"the '{self.split}' split of '{self.role}' has no labels")
        return self._images.labels

    def batches(self, size: int = 500, limit: int | None = None) -> Iterator[Tensor]:
        if self._array is None:
            device, channels_last = self._splits.device, self._splits.channels_last
            self._array = ImageArray(self._images, device, channels_last=channels_last)
        count = min(len(self._images), limit or len(self._images))
        generator = torch.Generator(self._splits.device).manual_seed(0)
        for images in in_batches(self._array, size, count):
            for transform in self._splits.transforms:
                images = transform(images, generator)
            yield images

    def raw(self, limit: int | None = None) -> Tensor:
        return self._images.pixels[:limit]


class Material:
    """Everything that one run reads."""

    def __init__(self, recipe: Recipe, library: Library) -> None:
        self.recipe, self.library = recipe, library
        self.roles: tuple[Role, ...] = tuple(recipe.options.trainer.target.roles)
        self._check_shapes()
        self.colour = len({images.spec.channels for images in self._train().values()}) > 1
        self._check_labels()
        # Transforms are built for the checks that they make of their own options.
        self.transforms = {
            role: tuple(item.build() for item in data.transforms) for role, data in recipe.data.items()
        }

    def images(self, role: str, split: str) -> Images:
        """One split as the trainer's networks see it; grey beside colour is repeated to three channels."""
        images = self._split(role, split)
        return images.in_colour() if self.colour else images

    def training(self) -> dict[str, Images]:
        """The trainer's own roles; hidden labels are gone."""
        pairs = ((role, self.images(role.name, "train")) for role in self.roles)
        return {r.name: im.without_labels() if r.labels == "hidden" else im for r, im in pairs}

    def specs(self) -> dict[str, ImageSpec]:
        return {role: images.spec for role, images in self.training().items()}

    def hidden(self) -> set[str]:
        """Roles whose labels the trainer may not know: hidden ones, and those that it does not read."""
        seen = {role.name for role in self.roles if role.labels != "hidden"}
        return set(self.recipe.data) - seen

    def total_steps(self) -> int:
        """`steps`, or `epochs` of the trainer's first role."""
        options = self.recipe.options
        if options.steps is not None:
            return options.steps
        count = len(self.images(self.roles[0].name, "train"))
        return max(1, round((options.epochs or 0) * count / options.batch_size))

    def evaluation(
        self, device: torch.device, channels_last: bool, labels_read: set[str]
    ) -> dict[str, RoleSplits]:
        """Every role of the recipe for the evaluators, behind its deterministic transforms only."""
        return {
            role: RoleSplits(
                role,
                partial(self.images, role),
                tuple(t for t in self.transforms[role] if not t.random),
                device,
                channels_last,
                labels_read,
            )
            for role in self.recipe.data
        }

    def provenance(self) -> dict[str, Any]:
        """What each role's training images were made from."""
        return {role: {"images": len(images), **images.provenance} for role, images in self._train().items()}

    def notes(self) -> list[str]:
        """What was done to the data that nobody asked for in words."""
        train, size = self._train(), self.recipe.options.batch_size
        grey = [role for role, images in train.items() if images.spec.channels == 1]
        small = [f"{role} ({len(images)} images)" for role, images in train.items() if len(images) < size]
        notes = [f"{' and '.join(grey)}: grey images repeated to three channels"] if self.colour else []
        return notes + ([f"a batch of {size} repeats images of {' and '.join(small)}"] if small else [])

    def _train(self) -> dict[str, Images]:
        return {role: self._split(role, "train") for role in self.recipe.data}

    def _split(self, role: str, name: str) -> Images:
        with self.recipe.blamed(("data", role)):
            return self.library.split(self.recipe.data[role], name)

    def _check_shapes(self) -> None:
        sizes = {role: (im.spec.height, im.spec.width) for role, im in self._train().items()}
        if len(set(sizes.values())) > 1:
            words = ", ".join(f"{role} {h}x{w}" for role, (h, w) in sizes.items())
            help = ["give every role the same size, for example `size = 32`"]
            raise self.recipe.error(("data",), f"the roles' images differ in size: {words}", help=help)

    def _check_labels(self) -> None:
        for role in self.roles:
            images = self._split(role.name, "train")
            if role.labels == "required" and images.labels is None:
                message = f"trainer '{self.recipe.options.trainer.name}' needs labels for '{role.name}'"
                name = self.recipe.data[role.name].dataset.name
                raise self.recipe.error(("data", role.name), f"{message}, and '{name}' has none")
        named = {role: im.classes for role, im in self._train().items() if im.classes is not None}
        if len(set(named.values())) > 1:
            words = "; ".join(f"{role}: {', '.join(classes)}" for role, classes in named.items())
            warnings.warn(f"the roles' classes differ ({words})", stacklevel=2)
