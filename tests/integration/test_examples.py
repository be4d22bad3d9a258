"""The packages below examples/, each installed with pip and tested by its own tests, as a stranger would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.conftest import ROOT

EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/tests"))
NEEDS = {"pluglab-mlflow": "mlflow"}
LINES = 150  # of its longest module: what a good author needs


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH that pip has installed all of them into, from a copy."""
    folder = tmp_path_factory.mktemp("examples")
    sources = [shutil.copytree(example, folder / example.name) for example in EXAMPLES]
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", str(folder / "site")]
    words: list[str | Path] = [sys.executable, "-m", "pip", "install", *options, *sources]
    subprocess.run(words, check=True)
    return folder / "site"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_its_own_tests_pass(example: Path, site: Path, tmp_path: Path) -> None:
    """`lab check` among them: each package tries all of its components."""
    if example.name in NEEDS:
        pytest.importorskip(NEEDS[example.name])
    tests = shutil.copytree(example / "tests", tmp_path / "tests")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(tests),
    ]
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    told = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_it_is_as_short_as_it_looks_and_shows_what_it_makes(example: Path) -> None:
    for module in example.rglob("src/**/*.py"):
        assert len(module.read_text(encoding="utf-8").splitlines()) < LINES, module
    page = (example / "README.md").read_text(encoding="utf-8")
    (picture,) = example.glob("*.png")
    assert f"]({picture.name})" in page
    assert f"lab check {example.name}" in page
