"""Each check bites: a folder of components, each with one mistake, told with the line that makes it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from pluglab.testing import Result, Subject, components, faults, results

HERE = Path(__file__).parent
FAULTY = sorted((HERE / "faulty").glob("*.py"))


@pytest.mark.parametrize("component", components(str(HERE / "good_plugin.py")), ids=str)
def test_nothing_is_wrong_with_the_good_ones(component: Subject) -> None:
    assert faults(component) == []


@pytest.mark.parametrize("file", FAULTY, ids=lambda file: file.stem)
def test_a_fault_is_told_with_its_line(file: Path) -> None:
    text = file.read_text()
    check, _, message = (ast.get_docstring(ast.parse(text)) or "").partition(": ")
    (line,) = [number for number, one in enumerate(text.splitlines(), 1) if one.endswith("# here")]
    found = _failed(file)
    assert check in [one.check for one in found], [one.line() for one in found]
    (told,) = [one for one in found if one.check == check]
    assert message in " ".join([told.message, *told.help])
    assert told.where == f"{file}:{line}"
    assert all(one.where.startswith(f"{file}:") for one in found)


def _failed(file: Path) -> list[Result]:
    return [one for part in components(str(file)) for one in results(part) if one.status == "failed"]
