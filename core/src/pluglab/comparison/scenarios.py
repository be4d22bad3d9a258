"""Scenarios: on which data runs were trained and measured. Scores of two scenarios say nothing of each other.

A scenario is the data set of each role. Where one data set has several forms, as after another preparation,
the content of its test images tells them apart.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pluglab.records import Record

Data = Mapping[str, tuple[str, str]]
"""The data set of each role: its name, and the hash of its test images where that is needed."""


def data_of(records: Sequence[Record]) -> dict[Record, Data]:
    """The data of each run."""
    known: dict[str, set[str]] = {}
    for record in records:
        for role, name in _names(record).items():
            known.setdefault(name, set()).update(filter(None, [_test_hash(record, role)]))
    return {
        record: {
            role: (name, _test_hash(record, role) if len(known[name]) > 1 else "")
            for role, name in _names(record).items()
        }
        for record in records
    }


def _names(record: Record) -> dict[str, str]:
    """The data set of each role by its name, those of the trainer's roles first, in the trainer's order."""
    found = {role: _name_of(value) for role, value in record.recipe.get("data", {}).items()}
    first = [role for role in record.trained_on if role in found]
    return {role: found[role] for role in dict.fromkeys([*first, *found])}


def _name_of(dataset: Any) -> str:
    """'mnist', or 'image_folder faces': the name, and that of the folder that it reads."""
    if not isinstance(dataset, Mapping):
        return str(dataset)
    name, path = str(dataset.get("name", "")).rpartition("/")[2], dataset.get("path")
    return f"{name} {Path(str(path)).name}" if path else name


def _test_hash(record: Record, role: str) -> str:
    found = record.state.get("data", {}).get(role, {}).get("sha256", {})
    return str(found.get("test", ""))


def words_of(data: Data) -> str:
    """'usps to svhn'."""
    return " to ".join(name for name, _ in data.values())


def agree(one: Data, other: Data, roles: Collection[str]) -> bool:
    """Whether these roles read the same data in both."""
    return all(one.get(role) == other.get(role) for role in roles)


def roles_behind(scalar: str, record: Record) -> set[str]:
    """The roles whose data a score comes from: those that were trained on, and the one that it is of.

    'accuracy/target' is of the role target. A scalar that names no role is of all of them.
    """
    data = set(record.recipe.get("data", {}))
    last = scalar.rpartition("/")[2]
    return {last, *(role for role in record.trained_on if role in data)} if last in data else data
