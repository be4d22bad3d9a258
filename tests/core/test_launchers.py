"""Launchers by name and with options: whoever brings the runs to their ends, the results are the same."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pluglab.cli.parameters import with_launcher
from pluglab.plugins.loading import load_plugins
from pluglab.recipe.recipe import load_recipe
from pluglab.storage.run_folder import RunFolder
from tests.core.support import RECIPE, TOYS, Lab, last_state, only_run, same

VARIANTS = "\n[variants.a]\n[variants.b.trainer]\nwidth = 4\n"

LAUNCHERS = """
import subprocess
import sys

from pluglab import Options, RunError


class Elsewhere:
    '''Each run by a command, from another folder, the last one first.'''

    class Config(Options):
        folder: str = "/"

    def __init__(self, config):
        self.folder = config.folder

    def launch(self, jobs, say):
        say(f"{len(jobs)} runs elsewhere")
        failures = {}
        for job in reversed(jobs):
            words = [sys.executable, "-P", "-c", "from pluglab.cli import main; main()", *job.command()]
            ended = subprocess.run(words, cwd=self.folder, capture_output=True, text=True)
            for line in ended.stderr.splitlines():
                job.relay(line)
            if failure := job.failure():
                failures[job.label] = failure
        return failures


class Choosy:
    '''Only the first run; the others fail.'''

    def launch(self, jobs, say):
        jobs[0].execute()
        with open("places.txt", "w") as file:
            print(*(job.folder for job in jobs), sep="\\n", file=file)
        return {job.label: OSError(f"no machine for {job.label}") for job in jobs[1:]}


class Idle:
    # The first run; it forgets the others.

    def launch(self, jobs, say):
        jobs[0].execute()
        return {}


class Faulty:
    def launch(self, jobs, say):
        jobs[0].execute()
        raise KeyError("a machine that the author forgot")  # here


def lab_register(registry):
    for target in (Elsewhere, Choosy, Idle, Faulty):
        registry.add("launcher", target.__name__.lower(), target)
"""


@pytest.fixture
def launchers(tmp_path: Path) -> Path:
    path = tmp_path / "launchers.py"
    path.write_text(LAUNCHERS)
    return path


@pytest.fixture
def experiment(recipe: Path) -> Path:
    recipe.write_text(RECIPE.replace("steps = 40", "steps = 10") + VARIANTS)
    return recipe


def states(folder: Path) -> list[str]:
    return [RunFolder(folder / f"{name}-seed0").read()["status"] for name in "ab"]


def launcher_of(recipe: Path) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads(recipe.read_text())["run"]["launcher"]
    return found


def test_a_launcher_of_a_plugin_gives_what_one_after_another_gives(
    lab: Lab, experiment: Path, launchers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab("run", experiment, "--run-dir", "here") == 0
    capsys.readouterr()
    launcher = f"run.launcher={{ name = 'elsewhere', folder = '{tmp_path.parent}' }}"
    assert lab("run", experiment, "--run-dir", "there", "--plugin", launchers, "--set", launcher) == 0
    said = capsys.readouterr()
    here, there = only_run(Path("here")), only_run(Path("there"))
    assert states(there) == ["finished", "finished"]
    for name in ("a-seed0", "b-seed0"):
        assert same(last_state(here / name)["trainer"], last_state(there / name)["trainer"])
    tables = [json.loads((folder / "results.json").read_text())["table"] for folder in (here, there)]
    assert tables[0] == tables[1]
    # It speaks, and so do the runs, each under its name; what holds for all is said once.
    lines = said.err.splitlines()
    assert "2 runs elsewhere" in lines and said.err.count("machine:") == 1
    first, last = (lines.index(f"{name}, seed 0: 0 of 10") for name in "ba")
    assert first < last
    assert "toy_accuracy/train" in said.out
    assert launcher_of(there / "recipe.toml") == {"name": "elsewhere", "folder": str(tmp_path.parent)}


def test_what_a_launcher_could_not_do_is_told_and_can_be_done_later(
    lab: Lab, experiment: Path, launchers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab("run", experiment, "--plugin", launchers, "--set", "run.launcher='choosy'") == 1
    error = capsys.readouterr().err
    folder = only_run()
    assert "error: b, seed 0: no machine for b, seed 0\n" in error
    assert f"`lab resume {folder} --plugin " in error and "` tries again" in error
    assert states(folder) == ["finished", "pending"]
    assert Path("places.txt").read_text().split() == [f"{folder}/a-seed0", f"{folder}/b-seed0"]
    assert "toy_accuracy/train" in (folder / "results.md").read_text()
    assert lab("resume", folder, "--set", "run.launcher='in_turn'", "--trust", toys=False) == 0
    assert states(folder) == ["finished", "finished"]


def test_a_run_that_a_launcher_leaves_without_a_word_has_failed(
    lab: Lab, experiment: Path, launchers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--set", "seeds=[0,1]")
    assert lab("run", experiment, "--plugin", launchers, "--set", "run.launcher='idle'", *words) == 1
    error = capsys.readouterr().err
    assert "error: a, seed 1: its launcher has not started it\n" in error
    for name in ("b, seed 0", "b, seed 1"):
        assert f"  = failed too: {name}: its launcher has not started it\n" in error
    assert f"`lab resume {only_run()} --plugin " in error and "` tries again" in error
    assert states(only_run()) == ["finished", "pending"]


def test_a_run_that_another_process_has_is_left_as_it_is(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing has been written, which is what the exit code says."""
    assert lab("run", recipe, "--set", "trainer.bad_step=3", "--set", "steps=5") == 1
    run = RunFolder(only_run())
    state = (run.path / "run.json").read_text()
    with run.held():
        assert lab("resume", run.path) == 2
    assert f"error: another process is running {run.path}\n" in capsys.readouterr().err
    assert (run.path / "run.json").read_text() == state


def test_a_launcher_that_fails_keeps_what_is_done(
    lab: Lab, experiment: Path, launchers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab("run", experiment, "--plugin", launchers, "--set", "run.launcher='faulty'") == 1
    error = capsys.readouterr().err
    line = next(n for n, text in enumerate(LAUNCHERS.splitlines(), 1) if text.endswith("# here"))
    assert "error: KeyError: 'a machine that the author forgot'" in error
    assert f"  --> {launchers}:{line}\n" in error
    assert states(only_run()) == ["finished", "pending"]
    assert list(json.loads((only_run() / "results.json").read_text())["runs"]["a-seed0"]["scalars"])


@pytest.mark.parametrize(
    ("launcher", "message"),
    [
        ("'proceses'", "unknown launcher 'proceses'"),
        ("{ name = 'processes', jobs = 0 }", "option 'jobs' of launcher 'processes' is wrong"),
        ("{ name = 'in_turn', jobs = 2 }", "unknown option 'jobs' for launcher 'in_turn'"),
        ("2", "'run.launcher' must name a launcher"),
    ],
)
def test_a_launcher_that_is_named_wrongly(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str], launcher: str, message: str
) -> None:
    recipe.write_text(f"{RECIPE}launcher = {launcher}\n")
    line = len(recipe.read_text().splitlines())
    assert lab("run", recipe) == 2
    assert f"error: {message}\n  --> {recipe}:{line}\n" in capsys.readouterr().err
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("jobs", "launcher"), [("1", {"name": "in_turn"}), ("2", {"name": "processes", "jobs": 2})]
)
def test_jobs_is_a_word_for_the_launcher(
    lab: Lab, experiment: Path, jobs: str, launcher: dict[str, Any]
) -> None:
    assert lab("run", experiment, "--jobs", jobs) == 0
    assert launcher_of(only_run() / "recipe.toml") == launcher
    assert states(only_run()) == ["finished", "finished"]


@pytest.mark.parametrize(
    ("words", "launcher"),
    [
        (["--launcher", "in_turn"], {"name": "in_turn"}),
        (["--launcher", "processes"], {"name": "processes", "jobs": 2}),
        (["--launcher", "processes", "--jobs", "3"], {"name": "processes", "jobs": 3}),
        (
            ["--set", "run.launcher.folder='/tmp'", "--launcher", "elsewhere"],
            {"name": "elsewhere", "folder": "/tmp"},
        ),
    ],
)
def test_a_launcher_by_its_name(
    experiment: Path, launchers: Path, words: list[str], launcher: dict[str, Any]
) -> None:
    sets = [words[1]] if words[0] == "--set" else []
    name = words[words.index("--launcher") + 1]
    jobs = int(words[words.index("--jobs") + 1]) if "--jobs" in words else None
    recipe = load_recipe(experiment, with_launcher(sets, name, jobs))
    (first, *_) = recipe.resolve_all(load_plugins([TOYS, launchers], only="").registry)
    assert first.options.run.launcher.dump() == launcher


def test_a_machines_default_launcher_starts_no_launchers_of_its_own(
    lab: Lab, experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each run is a command that reads the same default, and must not launch again."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home/lab.toml").write_text("run.launcher = { name = 'processes', jobs = 2 }\n")
    assert lab("run", experiment) == 0
    assert capsys.readouterr().err.count("up to 2 runs at a time") == 1
    assert states(only_run()) == ["finished", "finished"]


def test_how_runs_are_launched_is_no_part_of_what_they_are(lab: Lab, recipe: Path) -> None:
    assert lab("run", recipe, "--set", "steps=1", "--run-dir", "one") == 0
    assert lab("run", recipe, "--set", "steps=1", "--run-dir", "two", "--jobs", "2") == 0
    one, two = (RunFolder(only_run(Path(root))).read()["identity"] for root in ("one", "two"))
    assert one == two
