"""`lab new`: what it writes is good as it is written, installed as a stranger would, and runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import pluglab
from pluglab.cli import main
from pluglab.plugins.loading import load_plugins
from pluglab.recipe.recipe import load_recipe
from pluglab.testing import components, faults
from pluglab_testing.scaffold import KINDS, begun, write_plugin

RUFF = (
    ["check", "--select", "E,F,W,I,B,UP", "--line-length", "110"],
    ["format", "--check", "--line-length", "110"],
)


def lab(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as leave:
        main([*map(str, words)])
    return int(leave.value.code or 0)


# One file ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_wrong_with_a_new_file(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert lab("new", kind, f"own_{kind}.py") == 0
    found = components(f"own_{kind}.py")
    assert [part.kind for part in found] == ["file", kind]
    assert [fault for part in found for fault in faults(part)] == []


def test_no_file_and_no_folder_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (["trainer", "mine.py"], ["plugin", "mine"]):
        assert (lab("new", *words), lab("new", *words)) == (0, 2)
        assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["plugin", "mine", "--kind", "trainr"], "did you mean 'trainer'?"),
        (["plugin", "Über"], "'Über' cannot be a name"),
        (["trainer", "2d.py"], "'2d' cannot be a name"),
    ],
)
def test_mistakes_write_nothing(
    words: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert lab("new", *words) == 2
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


# Distributions ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a distribution of each kind."""
    folder = tmp_path_factory.mktemp("written")
    for kind in KINDS:
        write_plugin(begun(kind, f"pluglab-strange-{kind}"), folder / f"pluglab-strange-{kind}")
    return folder


@pytest.fixture(scope="module")
def site(written: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the path that pip has installed all of them into, from wheels, without a network."""
    folder = tmp_path_factory.mktemp("installed")
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", str(folder)]
    sources = [str(path) for path in written.iterdir()]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, *sources], check=True)
    return folder


@pytest.fixture
def installed(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The distributions are there; the working directory is empty."""
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_wrong_with_a_new_distribution(kind: str) -> None:
    found = components(f"pluglab-strange-{kind}")
    assert [part.kind for part in found] == ["package", kind]
    assert [fault for part in found for fault in faults(part)] == []


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("kind", KINDS)
def test_its_recipe_is_found_and_runs(kind: str) -> None:
    run = pluglab.run(f"strange_{kind}", steps=2)
    assert run.results["step"] == 2


@pytest.mark.usefixtures("installed")
def test_a_recipe_can_build_on_an_installed_one() -> None:
    Path("mine.toml").write_text('extends = "strange_trainer"\nsteps = 3\ntrainer.hidden = 5\n')
    (recipe,) = load_recipe(Path("mine.toml")).resolve_all(load_plugins().registry)
    table = recipe.to_dict()
    assert (table["steps"], table["trainer"]["name"], table["trainer"]["hidden"]) == (3, "strange_trainer", 5)


@pytest.mark.usefixtures("installed")
def test_installed_recipes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("list", "recipes") == 0
    assert {f"strange_{kind}" for kind in KINDS} <= set(capsys.readouterr().out.split())


def test_it_is_formatted_and_sorted(written: Path) -> None:
    for words in RUFF:
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, str(written)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("installed")
def test_its_own_tests_are_green(written: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    done = subprocess.run(command, cwd=written / "pluglab-strange-trainer", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_it_is_typed(written: Path) -> None:
    for folder in sorted(written.iterdir()):
        command = [sys.executable, "-m", "mypy", "--cache-dir", str(written.parent / "mypy")]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
