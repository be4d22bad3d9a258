"""A tiny real data set, an evaluation's surroundings and trainers whose answers are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from pluglab.components import Component, make
from pluglab.data import Images, to_float
from pluglab.errors import UserError
from pluglab.plugins.registry import Registrar, Registry
from pluglab.protocols import DataContext, EvaluationContext, ImageSpec, Prepares
from pluglab_metrics.plugin import lab_register


@dataclass
class FakeData:
    """`EvaluationData` over an `Images`."""

    role: str
    split: str
    images: Images
    hidden: bool = False

    @property
    def spec(self) -> ImageSpec:
        return self.images.spec

    @property
    def labelled(self) -> bool:
        return self.images.labels is not None

    @property
    def labels(self) -> Tensor:
        if self.images.labels is None:
            raise UserError("no labels")
        return self.images.labels

    def batches(self, size: int = 500, limit: int | None = None) -> Iterator[Tensor]:
        yield from to_float(self.raw(limit)).split(size)

    def raw(self, limit: int | None = None) -> Tensor:
        return self.images.pixels[:limit]


class SilentBar:
    """A progress bar that shows nothing."""

    def __init__(self, title: str, total: int) -> None: ...
    def __enter__(self) -> SilentBar:
        return self

    def __exit__(self, *exc: object) -> None: ...
    def advance(self, amount: int = 1) -> None: ...


@pytest.fixture
def data_context(tmp_path: Path) -> DataContext:
    return DataContext(None, tmp_path / "cache", SilentBar)


@pytest.fixture
def context(tmp_path: Path) -> EvaluationContext:
    """The last step of a run without a history."""
    run = tmp_path / "run"
    where = {"run": run, "folder": run / "figures", "cache": tmp_path / "cache"}
    return EvaluationContext("it", 100, 100, 0, **where, history=[], device=torch.device("cpu"))


@pytest.fixture(scope="session")
def digits() -> Images:
    """scikit-learn's 1,797 digits, 8 x 8."""
    pixels, labels = load_digits(return_X_y=True)
    images = torch.tensor(pixels * 255 / 16).round().to(torch.uint8).view(-1, 1, 8, 8)
    return Images(images, torch.tensor(labels), tuple("0123456789"))


@pytest.fixture(scope="session")
def registry() -> Registry:
    registrar = Registrar("metrics")
    lab_register(registrar)
    return Registry(registrar.entries)


@pytest.fixture
def build(registry: Registry, data_context: DataContext) -> Callable[..., Any]:
    """`build("evaluator", name, **options)`: the object itself, prepared if it wants to be."""

    def build(kind: str, name: str, *args: Any, **options: Any) -> Any:
        component: Component = make(registry, kind, name, **options)
        built = component.build(*args)
        if kind == "evaluator" and isinstance(built, Prepares):
            built.prepare(data_context)
        return built

    return build


@pytest.fixture
def two_domains(digits: Images) -> dict[str, dict[str, FakeData]]:
    """Digits, and the same digits inverted without labels."""
    inverted = Images(255 - digits.pixels, None, digits.classes)
    return {
        "source": {"test": FakeData("source", "test", digits)},
        "target": {"test": FakeData("target", "test", inverted)},
    }


@pytest.fixture
def data_of() -> Callable[..., FakeData]:
    return FakeData
