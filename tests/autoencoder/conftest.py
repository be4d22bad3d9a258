"""The registry as the program would fill it, small models, and splits as evaluators see them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from pluglab.data import Images, to_float
from pluglab.plugins.registry import Registry
from pluglab.protocols import Batch, EvaluationContext, ImageSpec, Progress, RoleData
from pluglab.recipe.resolve import make
from tests.evaluation import context_in, role_data
from tests.registries import registry_of

SMALL = {"name": "convolutional", "encoder_channels": [8, 16], "decoder_channels": [16, 8]}


@pytest.fixture(scope="session")
def registry() -> Registry:
    return registry_of("autoencoder")


def spec_of(size: int = 8, channels: int = 1, width: int = 0) -> ImageSpec:
    return ImageSpec(channels, size, width or size, 1000)


@pytest.fixture
def build(registry: Registry) -> Callable[..., Any]:
    """A small VAE, set up in one process on the CPU, in float32."""

    def build(seed: int = 0, spec: ImageSpec | None = None, **options: Any) -> Any:
        torch.manual_seed(seed)
        component = make(registry, "trainer", "vae", **{"networks": SMALL, "latent_size": 4, **options})
        trainer = component.build({"train": spec or spec_of()})
        trainer.setup(Fabric(accelerator="cpu", devices=1))
        return trainer

    return build


@pytest.fixture
def evaluator(registry: Registry) -> Callable[..., Any]:
    return lambda name, **options: make(registry, "evaluator", name, **options).build()


def pixels_at(step: int, count: int = 16, size: int = 8) -> Tensor:
    """uint8 N x 1 x size x size: a bright square somewhere on black, a fixed function of the step."""
    generator = torch.Generator().manual_seed(step)
    places = torch.randint(size - 3, (count, 2), generator=generator)
    rows = torch.arange(size)
    inside = [(rows >= places[:, i, None]) & (rows < places[:, i, None] + 4) for i in (0, 1)]
    return (inside[0][:, :, None] & inside[1][:, None, :]).to(torch.uint8)[:, None] * 255


def batch_at(step: int) -> dict[str, Batch]:
    return {"train": Batch(to_float(pixels_at(step)), None)}


def train(trainer: Any, start: int, stop: int, total: int) -> dict[str, Tensor]:
    """Steps `start` to `stop` - 1 of `total`; the figures of the last."""
    figures: dict[str, Tensor] = {}
    for step in range(start, stop):
        torch.manual_seed(step)  # the engine restores the random generators; here they follow the step
        figures = dict(trainer.step(batch_at(step), Progress(step, total)))
    return figures


@pytest.fixture
def data() -> RoleData:
    """60 images of the role `train`, the same in every split."""
    return role_data({"train": Images(pixels_at(99, 60))})


@pytest.fixture
def context(tmp_path: Path) -> EvaluationContext:
    return context_in(tmp_path)
