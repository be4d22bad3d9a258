"""The registry as the program would fill it, and small generated batches of two domains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric

from pluglab.plugins.registry import Registry
from pluglab.protocols import Batch, ImageSpec, Progress
from pluglab.recipe.resolve import make
from tests.registries import registry_of

DIGITS = tuple("0123456789")


@pytest.fixture(scope="session")
def registry() -> Registry:
    return registry_of("domain_adaptation")


def spec_of(
    size: int | tuple[int, int] = 28, channels: int = 3, classes: tuple[str, ...] | None = DIGITS
) -> ImageSpec:
    height, width = (size, size) if isinstance(size, int) else size
    return ImageSpec(channels, height, width, 1000, classes)


@pytest.fixture
def build(registry: Registry) -> Callable[..., Any]:
    """A trainer by name and options, set up in one process on the CPU, in float32."""

    def build(
        name: str, seed: int = 0, size: int | tuple[int, int] = 16, channels: int = 3, **options: Any
    ) -> Any:
        torch.manual_seed(seed)
        trainer = make(registry, "trainer", name, **options)
        roles = {role.name: spec_of(size, channels) for role in trainer.target.roles}
        built = trainer.build(roles)
        built.setup(Fabric(accelerator="cpu", devices=1))
        return built

    return build


def batch_at(
    step: int,
    roles: tuple[str, ...] = ("source", "target"),
    size: tuple[int, int] = (16, 16),
    channels: int = 3,
) -> dict[str, Batch]:
    """Eight smooth images a role, a fixed function of the step; the target is darker and has no labels."""
    generator = torch.Generator().manual_seed(step)
    coarse = torch.rand(2, 8, channels, 4, 4, generator=generator) * 2 - 1
    source, target = (torch.nn.functional.interpolate(x, size, mode="bilinear") for x in coarse)
    images = {"source": source, "target": target - 1}
    labels = torch.randint(10, (8,), generator=generator)
    return {role: Batch(images[role], labels if role == roles[0] else None) for role in roles}


def train(trainer: Any, start: int, stop: int, total: int) -> dict[str, torch.Tensor]:
    """Steps `start` to `stop` - 1 of `total`; the figures of the last."""
    figures: dict[str, torch.Tensor] = {}
    for step in range(start, stop):
        torch.manual_seed(step)  # the engine restores the random generators; here they follow the step
        roles = tuple(role.name for role in trainer.roles)
        figures = dict(trainer.step(batch_at(step, roles), Progress(step, total)))
    return figures
