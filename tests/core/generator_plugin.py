"""Toys that generate, complain or prepare: given with `--plugin` beside the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from pluglab.components import Component, Options, Reference, named, table
from pluglab.errors import UserError
from pluglab.protocols import Batch, DataContext, Evaluation, Progress, Role
from pluglab.training import TrainerBase


class Complainer(TrainerBase):
    """Its loss is the number of the step, and it complains at some of them."""

    class Config(Options):
        ill: tuple[int, ...] = ()
        """Steps whose log is bad news."""

    roles = (Role("train"),)

    def __init__(self, config: Config, data: Mapping[str, Any]) -> None:
        self.config = config

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        return {"loss/step": torch.tensor(progress.step + 1.0)}

    def diagnose(self, scalars: Mapping[str, float]) -> Sequence[str]:
        assert list(scalars) == ["loss/step"]
        step = scalars["loss/step"]
        return [f"a loss of {step:.3g} is bad; lower the rate"] if step in self.config.ill else []


class Plain:
    """Leaves the images as they are."""

    brightness = 0.0


class Bright:
    """Adds light."""

    class Config(Options):
        light: float = Field(0.5, ge=0, le=1)
        """How much."""

    def __init__(self, config: Config) -> None:
        self.brightness = config.light


class ToySampling(Options):
    sampler: Annotated[Component, Reference("toy_sampler")] = named("plain")
    """What is done to the images."""
    steps: int = Field(4, ge=1)
    """How many of the upper rows are left black."""


class ToyGenerator(TrainerBase):
    """Paints the top pixel of column k white for class k, and below the number of the step, and noise."""

    class Config(Options):
        conditional: bool = True
        """Whether classes can be asked for."""
        options: bool = True
        """Whether there are options of sampling."""
        sampling: ToySampling = table()
        """Options of sampling."""

    roles = (Role("train", labels="optional"),)

    def __init__(self, config: Config, data: Mapping[str, Any]) -> None:
        self.spec = data["train"]
        self.num_classes = self.spec.num_classes if config.conditional else 0
        self.trained = nn.BatchNorm1d(1)  # counts its calls in training mode
        if config.options:
            self.sampling = config.sampling

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        self.trained(torch.zeros(2, 1, device=batch["train"].images.device))
        return {"loss/none": torch.zeros(())}

    def sample(self, n: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
        assert not self.trained.training and not torch.is_grad_enabled()
        sampling = getattr(self, "sampling", None)
        steps = sampling.steps if sampling else 4
        if steps > self.spec.height:
            raise UserError(f"{steps} steps are more than {self.spec.height} rows")
        size = (n, self.spec.channels, self.spec.height, self.spec.width)
        images = torch.rand(size, generator=generator) - torch.rand(size)  # from both generators
        images[:, :, :steps] = -1
        images[:, :, 1] = self.trained.num_batches_tracked / 100
        if labels is not None:
            images[torch.arange(n), :, 0, labels] = 1
        return images + (sampling.sampler.build().brightness if sampling else 0.0)


class Brightness(TrainerBase):
    """Reads two roles and tells dark from bright images, with nothing to learn."""

    roles = (Role("source", labels="required"), Role("target", labels="hidden"))

    def __init__(self, config: Any, data: Mapping[str, Any]) -> None:
        self.shape = data["target"].channels, data["target"].height, data["target"].width

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        return {"loss/none": torch.zeros(())}

    def predict(self, images: Tensor, role: str) -> Tensor:
        assert tuple(images.shape[1:]) == self.shape
        level = images.mean((1, 2, 3))
        return torch.stack([-level, level], dim=1)


class Invert:
    """Dark becomes bright; in evaluation too."""

    random = False

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return -images


class ToyJudge:
    """An evaluator that writes a file before training, and reads it when it looks."""

    class Config(Options):
        words: str = "fine"
        """What it writes; 'missing' cannot be had."""

    needs = ()

    def __init__(self, config: Config) -> None:
        self.config = config
        self.made: str | None = None

    def prepare(self, context: DataContext) -> None:
        if self.config.words == "missing":
            raise UserError("the judge's weights are missing", help=["download them"])
        with context.track("making a judge", 1) as bar:
            self.made = self.config.words
            bar.advance()

    def evaluate(self, trainer: Any, data: Any, context: Any) -> Evaluation:
        assert self.made is not None
        return Evaluation({"letters": float(len(self.made))})


def lab_register(registry: Any) -> None:
    registry.kind("toy_sampler", summary="what is done to the images")
    registry.add("trainer", "complainer", Complainer)
    registry.add("trainer", "toy_generator", ToyGenerator)
    registry.add("trainer", "brightness", Brightness)
    registry.add("transform", "invert", Invert)
    registry.add("toy_sampler", "plain", Plain)
    registry.add("toy_sampler", "bright", Bright)
    registry.add("evaluator", "toy_judge", ToyJudge)
