"""The registry as the program would fill it, small models, and levels of noise to sample over."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from pluglab.plugins.registry import Registry
from pluglab.protocols import Batch, ImageSpec, Progress
from pluglab.recipe.resolve import make
from pluglab_diffusion.process import DiscreteProcess, Path, Spacing
from tests.registries import registry_of

CLASSES = ("a", "b", "c")
SMALL = {"name": "unet", "channels": [8, 16], "blocks": [1, 1]}


@pytest.fixture(scope="session")
def registry() -> Registry:
    return registry_of("diffusion")


@pytest.fixture(scope="session")
def goldens() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (pathlib.Path(__file__).parent / "goldens" / "diffusers.json").read_text()
    )
    return found


def spec_of(
    size: int = 8, channels: int = 1, classes: tuple[str, ...] | None = CLASSES, width: int = 0
) -> ImageSpec:
    return ImageSpec(channels, size, width or size, 1000, classes)


@pytest.fixture
def build(registry: Registry) -> Callable[..., Any]:
    """A small trainer, `ddpm` unless another is named, set up in one process on the CPU, in float32; `spec`
    is the shape of its images."""

    def build(seed: int = 0, spec: ImageSpec | None = None, name: str = "ddpm", **options: Any) -> Any:
        torch.manual_seed(seed)
        own = {"timesteps": 50} if name == "ddpm" else {}
        component = make(registry, "trainer", name, **{"denoiser": SMALL, **own, **options})
        trainer = component.build({"train": spec or spec_of()})
        trainer.setup(Fabric(accelerator="cpu", devices=1))
        return trainer

    return build


def schedule(registry: Registry, name: str, timesteps: int = 1000, **options: Any) -> Tensor:
    alphas_cumprod: Tensor = make(registry, "noise_schedule", name, **options).build(timesteps)
    return alphas_cumprod


def path_of(alphas_cumprod: Tensor, steps: int, spacing: Spacing = 1.0) -> Path:
    process = DiscreteProcess(alphas_cumprod)
    return process.path(process.times(steps, spacing))


def batch_at(step: int, size: int = 8, count: int = 6) -> dict[str, Batch]:
    """Images of three shades, one a class, a fixed function of the step."""
    generator = torch.Generator().manual_seed(step)
    labels = torch.randint(3, (count,), generator=generator)
    noise = 0.1 * torch.randn(count, 1, size, size, generator=generator)
    return {"train": Batch((labels.float() - 1).view(-1, 1, 1, 1) * 0.8 + noise, labels)}


def train(trainer: Any, start: int, stop: int, total: int, size: int = 8) -> dict[str, Tensor]:
    """Steps `start` to `stop` - 1 of `total`; the figures of the last."""
    figures: dict[str, Tensor] = {}
    for step in range(start, stop):
        torch.manual_seed(step)  # the engine restores the random generators; here they follow the step
        figures = dict(trainer.step(batch_at(step, size), Progress(step, total)))
    return figures
