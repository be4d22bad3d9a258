"""Toys for tests of what a run is: a learner with all kinds of state, data that change or move, scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from pluglab import (
    EMA,
    Batch,
    Classifies,
    Component,
    EMAOptions,
    Evaluation,
    Figure,
    Images,
    Options,
    Progress,
    Reference,
    Role,
    Table,
    TrainerBase,
    UserError,
    named,
    scale_lr,
)
from pluglab.protocols import DataContext

CLASSES = ("dark", "bright")


# Trainers --------------------------------------------------------------------------------------------


class Learner(TrainerBase):
    """A small network with dropout and batch norm, Adam and an average: every kind of state there is."""

    class Config(EMAOptions):
        width: int = Field(4, ge=1)
        """Hidden units."""
        noise: float = 0.1
        """Deviation of noise from torch's global generator."""
        optimizer: Annotated[Component, Reference("optimizer")] = named("adam", lr=0.01)
        """The optimizer."""
        schedule: Annotated[Component, Reference("schedule")] = named("constant")
        """Schedule of the rate."""
        asks_length: bool = False
        """Whether the loss depends on how much of the training is done."""
        breaks_at: int | None = None
        """At this step the loss is infinite if the rate is above 0.1."""

    roles: ClassVar[tuple[Role, ...]] = (Role("train", labels="required"),)

    def __init__(self, config: Config, data: Mapping[str, Any]) -> None:
        spec = data[self.roles[0].name]
        pixels = spec.channels * spec.height * spec.width
        if config.width == 13:
            raise UserError("13 brings bad luck", help=["width = 12"])
        self.config = config
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(pixels, config.width), nn.BatchNorm1d(config.width))
        self.head = nn.Sequential(nn.ReLU(), nn.Dropout(0.2), nn.Linear(config.width, spec.num_classes))
        self.average = EMA(self.body, config)
        parameters = [*self.body.parameters(), *self.head.parameters()]
        self.optimizer = config.optimizer.build(parameters)
        self.schedule = config.schedule.build()

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        scale_lr(self.optimizer, progress.at(self.schedule))
        part = batch[self.roles[0].name]
        images = part.images + self.config.noise * torch.randn_like(part.images)
        loss = nn.functional.cross_entropy(self.head(self.body(images)), cast(Tensor, part.labels))
        if self.config.asks_length:
            loss = loss * (1 + progress.fraction)
        if progress.step == self.config.breaks_at and self.optimizer.param_groups[0]["lr"] > 0.1:
            loss = loss * float("inf")
        self.update(self.optimizer, loss)
        self.average.update(progress.step, len(part.images))
        return {"loss": loss.detach()}

    def predict(self, images: Tensor, role: str) -> Tensor:
        return self.head(self.average(images))


class Adapter(Learner):
    """The same on a source; reads a target whose labels are hidden."""

    roles = (Role("source", labels="required"), Role("target", labels="hidden"))


class Informed(Learner):
    """The same on the target, whose labels it is given."""

    roles = (Role("target", labels="required"),)


# Data ------------------------------------------------------------------------------------------------


class Drawn:
    """Noise around a dark or a bright level; the level is the class."""

    class Config(Options):
        count: int = 48
        """Images of each split."""
        pixel: int = 0
        """Added to one pixel of one training image."""
        flipped: bool = False
        """Whether one training image has the other label."""
        held_out: int = 0
        """Added to one pixel of one test image."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def prepare(self, context: DataContext) -> None:
        """Nothing to do."""

    def split(self, name: str) -> Images:
        if name not in ("train", "test"):
            raise UserError(f"there is no split '{name}'", help=["splits: train, test"])
        count = self.config.count
        generator = torch.Generator().manual_seed(len(name))
        labels = torch.arange(count) % 2
        noise = torch.randint(0, 120, (count, 1, 4, 4), generator=generator)
        pixels = (noise + 70 * labels[:, None, None, None]).to(torch.uint8)
        pixels[0, 0, 0, 0] += self.config.pixel if name == "train" else self.config.held_out
        if self.config.flipped and name == "train":
            labels[0] = 1 - labels[0]
        return Images(pixels, labels, CLASSES)


class Stored:
    """The arrays of a .npz file: train, train_labels, test, test_labels."""

    class Config(Options):
        path: str
        """The file."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def prepare(self, context: DataContext) -> None:
        places = context.places(self.config.path)
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise UserError(f"there is no file {self.config.path}", help=[f"looked at {len(places)} places"])
        self.arrays = dict(np.load(found))

    def split(self, name: str) -> Images:
        pixels, labels = self.arrays[name], self.arrays[f"{name}_labels"]
        return Images(torch.from_numpy(pixels), torch.from_numpy(labels), CLASSES)


# Evaluators ------------------------------------------------------------------------------------------


def accuracy(trainer: Any, part: Any, labels: Tensor) -> float:
    """In percent."""
    guesses = torch.cat([trainer.predict(images, part.role).argmax(1).cpu() for images in part.batches()])
    return 100 * (guesses == labels).float().mean().item()


class Hits:
    """Accuracy on a split of each role, a bar, and a table. Says nothing beforehand."""

    class Config(Options):
        split: str = "test"
        """Which."""
        bonus: float = 0.0
        """Added to the accuracy."""

    needs = (Classifies,)

    def __init__(self, config: Config) -> None:
        self.config = config

    def evaluate(self, trainer: Any, data: Mapping[str, Any], context: Any) -> Evaluation:
        parts = {role: splits[self.config.split] for role, splits in data.items()}
        found = {
            f"hits/{role}": accuracy(trainer, part, part.labels) + self.config.bonus
            for role, part in parts.items()
        }
        bar = np.full((20, 20, 3), 255, np.uint8)
        figures = {"bar": Figure(bar, "how many", {"values": list(found.values())})}
        tables = {"all": Table(["role", "hits"], [[role, value] for role, value in found.items()])}
        return Evaluation(found, figures, tables, headline=tuple(found))


class Told(Hits):
    """The same, and says before the training what it reports, and whose labels that reads."""

    def check(self, trainer: Any, data: Mapping[str, Any]) -> Mapping[str, tuple[str, ...]]:
        for splits in data.values():
            _ = splits[self.config.split].spec
        return {f"hits/{role}": (role,) for role in data}


class Certain:
    """Mean confidence on the first role: reads no label, draws random numbers."""

    class Config(Options):
        scale: float = 1.0
        """Factor."""

    needs = (Classifies,)

    def __init__(self, config: Config) -> None:
        self.config = config

    def evaluate(self, trainer: Any, data: Mapping[str, Any], context: Any) -> Evaluation:
        role, splits = next(iter(data.items()))
        torch.rand(3)
        sure = torch.cat([trainer.predict(x, role).softmax(1).amax(1) for x in splits["test"].batches()])
        return Evaluation({"certain": self.config.scale * sure.mean().item()})


# Evaluators that say more than they may ------------------------------------------------------------


class Tabled:
    """Its table, and nothing else, is computed from the labels of the target."""

    class Config(Options):
        promises: bool = False
        """Whether it promises to report no scalar."""

    needs = (Classifies,)

    def __init__(self, config: Config) -> None:
        self.config = config

    def check(self, trainer: Any, data: Mapping[str, Any]) -> Mapping[str, tuple[str, ...]] | None:
        return {} if self.config.promises else None

    def evaluate(self, trainer: Any, data: Mapping[str, Any], context: Any) -> Evaluation:
        part = data["target"]["test"]
        return Evaluation(tables={"target": Table(["hits"], [[accuracy(trainer, part, part.labels)]])})


class Seer:
    """Reports how many scores and tables of the target the history of the run holds; reads no label."""

    needs = (Classifies,)

    def evaluate(self, trainer: Any, data: Mapping[str, Any], context: Any) -> Evaluation:
        looks = [event for event in context.history if event["type"] == "evaluation"]
        seen = sum("hits/target" in event["scalars"] or bool(event["tables"]) for event in looks)
        return Evaluation({"seen": float(seen)})


class Keeper:
    """Reads the labels of the target once, in whichever run, and keeps them."""

    kept: Tensor | None = None
    needs = (Classifies,)

    def evaluate(self, trainer: Any, data: Mapping[str, Any], context: Any) -> Evaluation:
        part = data["target"]["test"]
        self.kept = part.labels if self.kept is None else self.kept
        return Evaluation({"kept": accuracy(trainer, part, self.kept)})


class Rememberer:
    """Reads the labels of the target at its first look, and goes by its own history from then on."""

    needs = (Classifies,)

    def evaluate(self, trainer: Any, data: Mapping[str, Any], context: Any) -> Evaluation:
        own = [event for event in context.history if event.get("name") == context.label]
        if own:
            return Evaluation({"remembered": own[-1]["scalars"]["remembered"] + 1})
        part = data["target"]["test"]
        return Evaluation({"remembered": accuracy(trainer, part, part.labels)})


class Sworn:
    """Promises that its score is computed from the labels of a role, and computes it from the target's."""

    class Config(Options):
        role: str = "source"
        """The role that it names."""

    needs = (Classifies,)

    def __init__(self, config: Config) -> None:
        self.config = config

    def check(self, trainer: Any, data: Mapping[str, Any]) -> Mapping[str, tuple[str, ...]]:
        return {"sworn": (self.config.role,)}

    def evaluate(self, trainer: Any, data: Mapping[str, Any], context: Any) -> Evaluation:
        part = data["target"]["test"]
        return Evaluation({"sworn": accuracy(trainer, part, part.labels)})


class Peeping:
    """Looks at labels in its check."""

    needs = (Classifies,)

    def check(self, trainer: Any, data: Mapping[str, Any]) -> None:
        _ = data["target"]["test"].labels

    def evaluate(self, trainer: Any, data: Mapping[str, Any], context: Any) -> Evaluation:
        return Evaluation()


TRAINERS = {"learner": Learner, "adapter": Adapter, "informed": Informed}
DATASETS = {"drawn": Drawn, "stored": Stored}
EVALUATORS = {
    "hits": Hits,
    "told": Told,
    "certain": Certain,
    "tabled": Tabled,
    "seer": Seer,
    "keeper": Keeper,
    "rememberer": Rememberer,
    "sworn": Sworn,
    "peeping": Peeping,
}


def lab_register(registry: Any) -> None:
    kinds: dict[str, dict[str, Any]] = {"trainer": TRAINERS, "dataset": DATASETS, "evaluator": EVALUATORS}
    for kind, components in kinds.items():
        for name, target in components.items():
            registry.add(kind, name, target)
