"""A plugin of toys, so that the core is tested with no method, data set or metric of ours installed."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from typing import Annotated, Any, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from pluglab.components import Component, Options, Reference, named
from pluglab.data import Images
from pluglab.errors import UserError
from pluglab.protocols import Batch, Classifies, DataContext, Evaluation, Progress, Role, Samples
from pluglab.training import TrainerBase, scale_lr

CLASSES = ("dark", "bright")


class ToyTrainer(TrainerBase):
    """A small network with dropout and batch norm, trained with Adam: every kind of state there is."""

    class Config(Options):
        width: int = Field(8, ge=1)
        """Channels of the network."""
        noise: float = 0.1
        """Deviation of the noise that is added to the images, from torch's global generator."""
        optimizer: Annotated[Component, Reference("optimizer")] = named("adam")
        """The optimizer."""
        schedule: Annotated[Component, Reference("schedule")] = named("one_cycle")
        """Learning-rate schedule."""
        bad_step: int | None = None
        """The loss is NaN at this step."""

    roles = (Role("train", labels="required"),)

    def __init__(self, config: Config, data: Mapping[str, Any]) -> None:
        spec = data["train"]
        if spec.height < 4:
            raise UserError(f"the toy network needs images of 4 pixels, got {spec.height}", help=["size = 8"])
        self.config = config
        self.net = nn.Sequential(
            nn.Conv2d(spec.channels, config.width, 3),
            nn.BatchNorm2d(config.width),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(config.width, spec.num_classes),
        )
        self.optimizer = config.optimizer.build(self.net.parameters())
        self.schedule = config.schedule.build()

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        _misbehave(progress.step)
        scale_lr(self.optimizer, progress.at(self.schedule))
        images, labels = batch["train"].images, batch["train"].labels
        logits = self.net(images + self.config.noise * torch.randn_like(images))
        loss = nn.functional.cross_entropy(logits, cast(Tensor, labels))
        if progress.step == self.config.bad_step:
            loss = loss * float("nan")
        self.update(self.optimizer, loss)
        return {"loss/class": loss.detach()}

    def predict(self, images: Tensor, role: str) -> Tensor:
        return self.net(images)

    def networks(self) -> Mapping[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        return {"net": (self.net, (torch.zeros(2, 1, 8, 8),))}


def _misbehave(step: int) -> None:
    """End the process at a step, in the way that TOY_END says, such as KILL:13; of several, TOY_RANK's."""
    name, _, at = os.environ.get("TOY_END", ":-1").partition(":")
    if step == int(at) and os.environ.get("TOY_RANK", "0") == os.environ.get("RANK", "0"):
        if name == "FAULT":
            raise RuntimeError("a fault of the toy's")
        os.kill(os.getpid(), signal.Signals[f"SIG{name}"])


class ToyOther(TrainerBase):
    """Reads two roles, the second without labels, and learns nothing."""

    class Config(Options):
        width: int = 1
        """Unused."""

    roles = (Role("source", labels="required"), Role("target", labels="hidden"))

    def __init__(self, config: Config, data: Mapping[str, Any]) -> None:
        self.net = nn.Linear(1, 1)

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        assert batch["source"].labels is not None
        assert batch["target"].labels is None
        return {"loss/none": batch["target"].images.mean()}


class ToyImages:
    """Noise around a dark or a bright level; the level is the class."""

    class Config(Options):
        size: int = Field(8, ge=1)
        """Height and width."""
        count: int = Field(64, ge=0)
        """Images in each split."""
        channels: int = 1
        """1 or 3."""
        labeled: bool = True
        """Whether there are labels."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def prepare(self, context: DataContext) -> None:
        with context.track("toy images", 1) as bar:
            bar.advance()

    def split(self, name: str) -> Images:
        c = self.config
        generator = torch.Generator().manual_seed(len(name))
        labels = torch.arange(c.count) % 2
        noise = torch.randint(0, 100, (c.count, c.channels, c.size, c.size), generator=generator)
        pixels = (noise + 100 * labels[:, None, None, None]).to(torch.uint8)
        return Images(pixels, labels if c.labeled else None, CLASSES if c.labeled else None)


class ToyAccuracy:
    """Accuracy in percent, on each role."""

    needs = (Classifies,)

    def evaluate(self, trainer: Any, data: Mapping[str, Any], context: Any) -> Evaluation:
        scalars = {}
        for role, splits in data.items():
            logits = torch.cat([trainer.predict(images, role) for images in splits["test"].batches()])
            right = logits.argmax(1).cpu() == splits["test"].labels
            scalars[f"toy_accuracy/{role}"] = 100 * right.float().mean().item()
        return Evaluation(scalars, headline=tuple(scalars))


class ToyConfidence:
    """Mean confidence, also as the height of a bar: reads no label."""

    needs = (Classifies,)

    def evaluate(self, trainer: Any, data: Mapping[str, Any], context: Any) -> Evaluation:
        role, splits = next(iter(data.items()))
        probabilities = [trainer.predict(images, role).softmax(1) for images in splits["test"].batches()]
        torch.rand(3)  # an evaluator may draw random numbers; training must not notice
        confidence = torch.cat(probabilities).amax(1).mean().item()
        bar = np.full((100, 40, 3), 255, np.uint8)
        bar[round(100 * (1 - confidence)) :] = 0
        return Evaluation({"confidence": confidence}, figures={"bar": bar})


class ToySamples:
    """Needs a generator."""

    needs = (Samples,)

    def evaluate(self, trainer: Any, data: Mapping[str, Any], context: Any) -> Evaluation:
        return Evaluation()


class Jitter:
    """Adds noise from the generator that it is given."""

    random = True

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return images + 0.05 * torch.randn(images.shape, generator=generator)


def lab_register(registry: Any) -> None:
    registry.add("trainer", "toy", ToyTrainer, summary="a toy")
    registry.add("trainer", "toy_other", ToyOther, summary="another toy")
    registry.add("dataset", "toy_images", ToyImages, summary="dark or bright")
    registry.add("evaluator", "toy_accuracy", ToyAccuracy)
    registry.add("evaluator", "toy_confidence", ToyConfidence)
    registry.add("evaluator", "toy_samples", ToySamples)
    registry.add("transform", "jitter", Jitter)
