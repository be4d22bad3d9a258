"""The data of a run: every role's splits, prepared once, checked against what the trainer asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pluglab.components import Component
from pluglab.data.batches import ImageArrays
from pluglab.data.evaluation_data import Evaluated, EvaluationSplit, RoleSplits
from pluglab.errors import UserError
from pluglab.images import Images, ImageSpec
from pluglab.plugins.returned import check_split
from pluglab.protocols import DataContext, Dataset, Evaluator, Prepares, Role, RoleData, Transform
from pluglab.recipe.recipe import Recipe, RoleSource, digest_of

SPLITS = ("train", "test")
SHOWN = 16  # characters of a hash that a message shows


class DatasetCache:
    """Data sets and evaluators by their options: the runs of an experiment prepare and hold each once."""

    def __init__(self, context: DataContext) -> None:
        self.context = context
        self._datasets: dict[str, Dataset] = {}
        self._splits: dict[tuple[str, str], Images] = {}
        self._evaluators: dict[str, Evaluator] = {}

    def split(self, source: RoleSource, name: str) -> Images:
        """One split, never empty. Raises `UserError`."""
        key = _key(source.dataset)
        if key not in self._datasets:
            dataset: Dataset = source.dataset.build()
            dataset.prepare(self.context)
            self._datasets[key] = dataset
        if (key, name) not in self._splits:
            dataset = self._datasets[key]
            images = check_split(dataset, name, dataset.split(name))
            if len(images) == 0:
                raise UserError(f"data set '{source.dataset.name}' has no images in its '{name}' split")
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
class Recorded:
    """The hashes of a run's splits, `hashes[role][split]`, by which its data are known again.

    With `accept`, data that have changed are taken, and the change is noted in `changes`.
    """

    hashes: dict[str, dict[str, str]] = field(default_factory=dict)
    accept: bool = False
    changes: list[dict[str, str]] = field(default_factory=list)

    def check(self, role: str, split: str, images: Images) -> None:
        """Note a split that is new; raise `UserError` for one that is not what it was."""
        known = self.hashes.setdefault(role, {})
        before, now = known.get(split, images.digest), images.digest
        if before != now:
            if not self.accept:
                raise self._changed(role, split, before, now)
            self.changes.append({"role": role, "split": split, "from": before, "to": now})
        known[split] = now

    def _changed(self, role: str, split: str, before: str, now: str) -> UserError:
        return UserError(
            f"the '{split}' images of '{role}' are not those of the run: their hash was {before[:SHOWN]}, "
            f"and is {now[:SHOWN]}",
            help=[
                f"name where the same data lie now: --data-root DIR, or --set data.{role}.path=...",
                "or take the changed ones: --accept-data goes on and records the change in run.json",
            ],
        )


class RunData:
    """Everything that one run reads."""

    def __init__(self, recipe: Recipe, cache: DatasetCache, recorded: Recorded | None = None) -> None:
        self.recipe, self.cache = recipe, cache
        self.recorded = recorded or Recorded()
        self.roles: tuple[Role, ...] = tuple(recipe.options.trainer.target.roles)
        self.arrays = ImageArrays()
        train = {role: self._located(role, "train") for role in recipe.data}
        self._check_shapes(train)
        self._check_labels(train)
        self.color = len({images.spec.channels for images in train.values()}) > 1
        self.classes = self._classes(train)
        # Transforms are built for the checks that they make of their own options.
        self.transforms: dict[str, tuple[Transform, ...]] = {
            role: tuple(item.build() for item in source.transforms) for role, source in recipe.data.items()
        }

    def split(self, role: str, name: str) -> Images:
        """One split as the trainer's networks see it: gray beside color is repeated to three channels.

        Labels are numbered as the classes of the role that has them for the trainer. Raises `UserError`.
        """
        images = self._stored(role, name)
        if self.classes is not None and images.classes is not None:
            with self.recipe.error_location(("data", role)):
                images = self._matched(role, images, self.classes)
        return images.in_color() if self.color else images

    def training(self) -> dict[str, Images]:
        """The trainer's own roles; hidden labels are gone."""
        pairs = ((role, self.split(role.name, "train")) for role in self.roles)
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
        count = len(self.split(self.roles[0].name, "train"))
        return max(1, round((options.epochs or 0) * count / options.batch_size))

    def settings(self, start: Mapping[str, Any]) -> str:
        """A hash of all that training depends on but the seed: trainer, transforms, batches, length, and data
        by content. `start` says what the weights are at first, if not what the seed makes them."""
        table = self.recipe.training() | {"steps": self.total_steps(), "start": dict(start)}
        table["data"] = {role.name: self._stored(role.name, "train").digest for role in self.roles}
        return digest_of(table)

    def evaluation(self, evaluated: Evaluated) -> RoleData:
        """Every role of the recipe for the evaluators, behind its deterministic transforms only."""
        return {role: RoleSplits(partial(self._evaluation, evaluated, role)) for role in self.recipe.data}

    def _evaluation(self, evaluated: Evaluated, role: str, split: str) -> EvaluationSplit:
        images, dataset = self.split(role, split), self.recipe.data[role].dataset.name
        kept = [transform for transform in self.transforms[role] if not transform.random]
        digest = self.recorded.hashes[role][split]
        return EvaluationSplit(role, split, dataset, digest, images, kept, evaluated, self.arrays)

    def record_splits(self) -> None:
        """See that the hash of every role's train and test splits is recorded, where there are such."""
        for role in self.recipe.data:
            for name in SPLITS:
                try:
                    self._located(role, name)
                except UserError:
                    if name == "train" or name in self.recorded.hashes.get(role, {}):
                        raise

    def facts(self) -> dict[str, Any]:
        """What run.json records of each role: its data set, and hash, size and origin of its images."""
        return {
            role: {
                "dataset": source.dataset.name,
                "images": len(images),
                "sha256": self.recorded.hashes.get(role, {}),
                **{key: value for key, value in images.provenance.items() if key != "sha256"},
            }
            for role, source in self.recipe.data.items()
            for images in [self._stored(role, "train")]
        }

    def notes(self) -> list[str]:
        """What was done to the data that nobody asked for in words."""
        train = {role: self._stored(role, "train") for role in self.recipe.data}
        size = self.recipe.options.batch_size
        gray = [role for role, images in train.items() if images.spec.channels == 1]
        small = [f"{role} ({len(images)} images)" for role, images in train.items() if len(images) < size]
        notes = [f"{' and '.join(gray)}: gray images repeated to three channels"] if self.color else []
        notes += [f"a batch of {size} repeats images of {' and '.join(small)}"] if small else []
        for role, images in train.items():
            missing = [
                name for name in self.classes or () if name not in (images.classes or self.classes or ())
            ]
            notes += [f"{role}: no images of the classes {', '.join(missing)}"] if missing else []
        return notes

    def _stored(self, role: str, name: str) -> Images:
        """One split as its data set has it, known to be that of the run. Raises `UserError`."""
        try:
            images = self.cache.split(self.recipe.data[role], name)
        except UserError as error:
            if name in self.recorded.hashes.get(role, {}) and self.cache.context.moved:
                way = f"if they have moved: --data-root DIR, or --set data.{role}.path=..."
                error.help = (*error.help, way)
            raise
        self.recorded.check(role, name, images)
        return images

    def _located(self, role: str, name: str) -> Images:
        """The same where it is the recipe's `data` that asks for it, and not an evaluator."""
        with self.recipe.error_location(("data", role)):
            return self._stored(role, name)

    def _check_shapes(self, train: Mapping[str, Images]) -> None:
        sizes = {role: (im.spec.height, im.spec.width) for role, im in train.items()}
        if len(set(sizes.values())) > 1:
            words = ", ".join(f"{role} {h}x{w}" for role, (h, w) in sizes.items())
            help = ["give every role the same size, for example `size = 32`"]
            raise self.recipe.error(("data",), f"the roles' images differ in size: {words}", help=help)
        channels = {role: images.spec.channels for role, images in train.items()}
        if len(set(channels.values())) > 1 and not set(channels.values()) <= {1, 3}:
            words = ", ".join(f"{role} {count}" for role, count in channels.items())
            help = ["gray images are repeated beside color ones; all others must have as many channels"]
            raise self.recipe.error(("data",), f"the roles' images differ in channels: {words}", help=help)

    def _check_labels(self, train: Mapping[str, Images]) -> None:
        for role in self.roles:
            if role.labels == "required" and train[role.name].labels is None:
                message = f"trainer '{self.recipe.options.trainer.name}' needs labels for '{role.name}'"
                name = self.recipe.data[role.name].dataset.name
                raise self.recipe.error(("data", role.name), f"{message}, and '{name}' has none")

    def _classes(self, train: Mapping[str, Images]) -> tuple[str, ...] | None:
        """The class names by which all roles' labels are numbered: those that the trainer gets to know."""
        known = [role.name for role in self.roles if role.labels != "hidden"]
        ordered = [*known, *(role for role in train if role not in known)]
        classes = next((train[role].classes for role in ordered if train[role].classes is not None), None)
        if classes is not None:
            for role, images in train.items():
                with self.recipe.error_location(("data", role)):
                    self._matched(role, images, classes)
        return classes

    def _matched(self, role: str, images: Images, classes: tuple[str, ...]) -> Images:
        strange = [name for name in images.classes or () if name not in classes]
        if strange:
            message = f"'{role}' has the classes {', '.join(strange)}, which the labels to learn from lack"
            help = [f"classes are matched by name, and there are: {', '.join(classes)}"]
            raise UserError(message, help=help)
        return images.with_classes(classes)
