"""`pytest --lab NAME`: a test for each component of a distribution, a plugin or a file."""

from __future__ import annotations

from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pluglab")
    group.addoption(
        "--lab",
        action="append",
        default=[],
        metavar="NAME",
        help="check each component of that distribution, plugin or file, as `lab check` does",
    )


def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Adds the tests that `--lab` asks for."""
    for name in config.getoption("--lab"):
        from pluglab_testing import components

        items += [
            ComponentTest.from_parent(session, name=f"{name}::{one}", component=one)
            for one in components(name)
        ]


class ComponentTest(pytest.Item):
    """All checks of one component."""

    def __init__(self, *, component: Any, **rest: Any) -> None:
        super().__init__(**rest)
        self.component = component

    def runtest(self) -> None:
        from pluglab_testing import faults

        if found := faults(self.component):
            raise Faults(found)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, Faults):
            return "\n".join(excinfo.value.lines)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[str, None, str]:
        return "lab", None, self.name


class Faults(Exception):  # noqa: N818
    """What the checks have found."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
