"""The registry as the program would fill it, trainers set up in one process, and small generated batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from pluglab.engine.hardware import Hardware, LabFabric
from pluglab.plugins.registry import Registry
from pluglab.protocols import Batch, ImageSpec, Progress
from pluglab.recipe.resolve import make
from pluglab.training import set_mode
from tests.registries import registry_of

DIGITS = tuple("0123456789")


@pytest.fixture(scope="session")
def registry() -> Registry:
    return registry_of("gan")


def spec_of(size: int = 16, channels: int = 3, classes: tuple[str, ...] | None = DIGITS) -> ImageSpec:
    return ImageSpec(channels, size, size, 1000, classes)


def fabric_of(precision: str = "32") -> Fabric:
    return LabFabric(Hardware("cpu", 1, precision, precision == "bf16", False, 1, ""))


@pytest.fixture
def build(registry: Registry) -> Callable[..., Any]:
    """A small trainer by name and options, set up on the CPU and in training mode."""

    def build(
        name: str, seed: int = 0, spec: ImageSpec | None = None, precision: str = "32", **options: Any
    ) -> Any:
        torch.manual_seed(seed)
        component = make(registry, "trainer", name, **({"width": 8} | options))
        trainer = component.build({"train": spec or spec_of()})
        trainer.setup(fabric_of(precision))
        set_mode(trainer, "train")
        return trainer

    return build


def images_at(step: int, n: int = 8, size: int = 16) -> Tensor:
    """Smooth images, a fixed function of the step."""
    coarse = torch.rand(n, 3, 4, 4, generator=torch.Generator().manual_seed(step)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear")


def batch_at(step: int, n: int = 8, size: int = 16) -> dict[str, Batch]:
    return {"train": Batch(images_at(step, n, size), (torch.arange(n) + step) % 10)}


def train(trainer: Any, start: int, stop: int, total: int, **batch: int) -> dict[str, Tensor]:
    """Steps `start` to `stop` - 1 of `total`; the figures of the last."""
    figures: dict[str, Tensor] = {}
    for step in range(start, stop):
        torch.manual_seed(step)  # the engine restores the random generators; here they follow the step
        figures = dict(trainer.step(batch_at(step, **batch), Progress(step, total)))
    return figures


def tensors(trainer: Any) -> dict[str, Tensor]:
    """Everything in the trainer's state that is a tensor, optimizers and averages included, by its path."""
    return dict(_walk("", trainer.state_dict()))


def _walk(path: str, value: Any) -> Any:
    if isinstance(value, Tensor):
        yield path, value.clone()
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _walk(f"{path}.{key}", item)
