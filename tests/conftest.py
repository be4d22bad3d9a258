"""What holds for all tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True, scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An empty home folder: neither a developer's lab.toml nor caches of an earlier session have a say.

    And `lab` on the path, as in an activated environment: messages then call it by its name.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield
