"""What a distribution as a whole is held to; each of these has one mistake."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pluglab.testing import Result, components, results

METADATA = """Metadata-Version: 2.4
Name: pluglab-mine
Version: 0.1
Summary: A plugin.
License-Expression: MIT
Classifier: Typing :: Typed
Project-URL: Homepage, https://example.org
Requires-Python: >=3.11
Requires-Dist: pluglab>=0.2,<0.3

It does nothing.
"""
PROJECT = """[project]
name = "pluglab-mine"
dependencies = [
  "pluglab>=0.2,<0.3",
]
"""
Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """The plugin `mine` as pip installs it from a folder with `-e`: its code, and other lines of metadata."""
    site, source = tmp_path / "site", tmp_path / "source"

    def call(code: str = "", metadata: str = METADATA, typed: bool = True) -> Path:
        package, info = site / "pluglab_mine", site / "pluglab_mine-0.1.dist-info"
        for folder in (package, info, source):
            folder.mkdir(parents=True)
        (package / "__init__.py").write_text(code)
        if typed:
            (package / "py.typed").touch()
        (source / "pyproject.toml").write_text(PROJECT)
        (info / "METADATA").write_text(metadata)
        (info / "entry_points.txt").write_text("[pluglab]\nmine = pluglab_mine\n")
        (info / "direct_url.json").write_text(json.dumps({"url": source.as_uri(), "dir_info": {}}))
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.setenv("PYTHONPATH", str(site))
        monkeypatch.delitem(__import__("sys").modules, "pluglab_mine", raising=False)
        return source / "pyproject.toml"

    return call


def failed(name: str) -> dict[str, Result]:
    found = [one for part in components(name) for one in results(part)]
    return {one.check: one for one in found if one.status == "failed"}


def test_nothing_is_wrong_with_a_good_one(install: Install) -> None:
    install()
    assert failed("pluglab-mine") == failed("mine") == {}


def test_a_folder_is_checked_by_its_distribution(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    file = install("print('hello')")
    monkeypatch.chdir(file.parent)
    assert list(failed(".")) == ["import"]


CODES = [
    ("import torch", "import", "importing pluglab_mine brings in torch, at every call of `lab`"),
    ("print('hello')", "import", "importing pluglab_mine prints 'hello'"),
    ("sum(range(30_000_000))", "import", "at every call of `lab`"),
    ("raise ValueError('no')", "loaded", "it is broken: ValueError: no"),
    ("def lab_regster(registry): ...", "loaded", "did you mean 'lab_register'?"),
    (
        "def lab_register(registry):\n    registry.add('optimizer', 'adam', 'pluglab_mine:adam')",
        "names",
        "there is an optimizer 'adam' already, of the plugin 'core'",
    ),
]


@pytest.mark.parametrize(("code", "check", "message"), CODES)
def test_a_fault_of_the_plugin_module(code: str, check: str, message: str, install: Install) -> None:
    install(code)
    assert message in failed("pluglab-mine")[check].message


METADATAS = [
    (
        "Requires-Dist: pluglab>=0.2,<0.3",
        "Requires-Dist: pluglab>=0.2",
        "bounds",
        "without an upper bound",
        3,
    ),
    ("Requires-Dist: pluglab>=0.2,<0.3\n", "", "bounds", "it does not require pluglab", 3),
    ("Requires-Python: >=3.11\n", "", "bounds", "it does not say which Python it needs", 3),
    ("License-Expression: MIT\n", "", "description", "its pyproject.toml has no license", 1),
    ("It does nothing.\n", "", "description", "its pyproject.toml has no readme", 1),
    ("<0.3", "<0.2", "loaded", "it is incompatible: needs pluglab <0.2,>=0.2", 4),
]


@pytest.mark.parametrize(("old", "new", "check", "message", "line"), METADATAS)
def test_a_fault_of_the_metadata_is_told_with_its_line(
    old: str, new: str, check: str, message: str, line: int, install: Install
) -> None:
    file = install(metadata=METADATA.replace(old, new))
    found = failed("pluglab-mine")[check]
    assert message in found.message
    assert found.where == f"{file}:{line}"


def test_a_package_that_is_not_typed(install: Install) -> None:
    file = install(typed=False)
    found = failed("pluglab-mine")["typed"]
    assert (found.message, found.where) == ("pluglab_mine has no py.typed", f"{file}:2")
