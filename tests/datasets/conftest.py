"""A registry with the data sets, a context whose cache is a temporary folder, and a folder of images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pluglab.plugins.registry import Registrar, Registry
from pluglab.protocols import DataContext
from pluglab.recipe.resolve import make
from pluglab_datasets.plugin import lab_register

from .pictures import Prepare


class Bar:
    """A progress bar that remembers what it was told."""

    def __init__(self, title: str, total: int) -> None:
        self.title, self.total, self.done = title, total, 0

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def advance(self, amount: int = 1) -> None:
        self.done += amount


@pytest.fixture(scope="session")
def registry() -> Registry:
    registrar = Registrar("datasets")
    lab_register(registrar)
    return Registry(registrar.entries)


@pytest.fixture
def build(registry: Registry) -> Callable[..., Any]:
    """`build(kind, name, **options)`: the object that a recipe would get."""
    return lambda kind, name, **options: make(registry, kind, name, **options).build()


@pytest.fixture
def context(tmp_path: Path) -> DataContext:
    return DataContext(root=tmp_path / "root", cache=tmp_path / "cache", track=Bar)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "pictures"
    path.mkdir()
    return path


@pytest.fixture
def prepare(build: Callable[..., Any], context: DataContext, folder: Path) -> Prepare:
    """`prepare(**options)`: the image folder `folder`, 8 pixels a side unless told."""

    def prepared(**options: Any) -> Any:
        dataset = build("dataset", "image_folder", **{"path": str(folder), "size": 8, **options})
        dataset.prepare(context)
        return dataset

    return prepared
