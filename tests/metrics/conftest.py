"""A tiny real data set, an evaluation's surroundings and trainers whose answers are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits

from pluglab.components import Component
from pluglab.data import Images
from pluglab.plugins.registry import Registrar, Registry
from pluglab.protocols import DataContext, EvaluationContext, Prepares, RoleData
from pluglab.recipe.resolve import make
from tests.evaluation import SilentBar, context_in, role_data
from tests.metrics.models import Labeler, Pool
from tests.registries import registry_of

METRICS = {
    "f1": "torchmetrics.classification:MulticlassF1Score",
    "task_f1": "torchmetrics.classification:F1Score",
    "calibration": "torchmetrics.classification:MulticlassCalibrationError",
    "hits": "torchmetrics.classification:MulticlassAccuracy",
    "mean": "torchmetrics:MeanMetric",
    "ssim": "torchmetrics.image:StructuralSimilarityIndexMeasure",
    "psnr": "torchmetrics.image:PeakSignalNoiseRatio",
    "variation": "torchmetrics.image:TotalVariation",
    "tiny_kid": "tests.metrics.models:TinyKID",
    "cosine": "torchmetrics:CosineSimilarity",
    "per_class": "tests.metrics.models:per_class_accuracy",
}


@pytest.fixture
def data_context(tmp_path: Path) -> DataContext:
    return DataContext(None, tmp_path / "cache", SilentBar)


@pytest.fixture
def context(tmp_path: Path) -> EvaluationContext:
    """The last step of a run without a history."""
    return context_in(tmp_path)


@pytest.fixture(scope="session")
def digits() -> Images:
    """scikit-learn's 1,797 digits, 8 x 8."""
    pixels, labels = load_digits(return_X_y=True)
    images = torch.tensor(pixels * 255 / 16).round().to(torch.uint8).view(-1, 1, 8, 8)
    return Images(images, torch.tensor(labels), tuple("0123456789"))


@pytest.fixture(scope="session")
def registry() -> Registry:
    registry, registrar = registry_of("metrics"), Registrar("models")
    registrar.add("feature_extractor", "pool", Pool)
    registrar.add("feature_extractor", "labeler", Labeler)
    for name, target in METRICS.items():
        registrar.add("metric", name, target)
    registry.extend(registrar.entries)
    return registry


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


@pytest.fixture(scope="session")
def domains(digits: Images) -> dict[str, Images]:
    """Digits, and the same digits inverted without labels."""
    return {"source": digits, "target": Images(255 - digits.pixels, None, digits.classes)}


@pytest.fixture
def two_domains(domains: dict[str, Images]) -> RoleData:
    return role_data(domains)
