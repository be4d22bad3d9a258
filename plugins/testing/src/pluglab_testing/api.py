"""The checks from Python, for tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pluglab_testing.checking import Result, Subject, checked
from pluglab_testing.subjects import Part, find, of_kind, shape_of


def components(
    name: str,
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    images: str = "",
    plugins: Sequence[str | Path] = (),
) -> list[Subject]:
    """All that `lab check NAME` checks: components, and for a distribution or a file itself.

    `options` are what components are told, by name or by "kind/name": {"dann": {"encoder": "lenet"}}.
    `images` is the shape that they are tried with, as "1x28x28". Raises `UserError` for an unknown
    name.
    """
    found = find(name, files=[Path(file) for file in plugins])
    for one in found:
        if isinstance(one, Part):
            own = options or {}
            one.options = own.get(f"{one.kind}/{one.name}", own.get(one.name, {}))
            one.shape = shape_of(images)
    return found


def results(component: Subject) -> Iterator[Result]:
    """What each check finds, one after the other."""
    return checked(component, of_kind(component))


def faults(component: Subject) -> list[str]:
    """What is wrong, a line each, with the file and line; nothing of a good one."""
    return [found.line() for found in results(component) if found.status == "failed"]
