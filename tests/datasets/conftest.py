"""A registry with the data sets, and a context whose cache is a temporary folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from pluglab.plugins.registry import Registrar, Registry
from pluglab.protocols import DataContext
from pluglab.recipe.resolve import make
from pluglab_datasets.plugin import lab_register


class Bar:
    """A progress bar that remembers what it was told."""

    def __init__(self, title: str, total: int) -> None:
        self.title, self.total, self.done = title, total, 0

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *exc: type[BaseException] | BaseException | TracebackType | None) -> None:
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
