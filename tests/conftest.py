"""What holds for all tests."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import wheels


def pytest_configure() -> None:
    """A shell has what it starts in the background ignore Ctrl-C, nohup has it ignore that the terminal is
    closed, and all processes of the tests after it."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


@pytest.fixture(autouse=True, scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An empty home folder: neither a developer's lab.toml nor caches of an earlier session have a say.

    And `lab` on the path, as in an activated environment: messages then call it by its name.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what distributions are built from."""
    return wheels.copy_of_the_checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="session")
def built(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel of each distribution."""
    folder = tmp_path_factory.mktemp("built") / "wheels"
    wheels.build(wheels.projects(checkout), folder)
    return folder


@pytest.fixture(scope="session")
def installed_wheels(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `bin` of an environment with all distributions from wheels, not from the checkout."""
    return wheels.environment(tmp_path_factory.mktemp("environment"), built.iterdir())
