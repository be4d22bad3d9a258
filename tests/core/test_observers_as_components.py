"""Observers by name and with options, what watching may not do, and what a run remembers of its plugins."""

from __future__ import annotations

import hashlib
import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pluglab.observers.console import ConsoleObserver
from pluglab.storage.run_folder import RunFolder
from tests.core.support import RECIPE, Install, Lab, last_state, only_run, same

WATCHER = """
import random

import numpy as np
import torch

from pluglab import Options

made = []


class Watcher:
    '''Writes down what it is told.'''

    class Config(Options):
        file: str = "seen.txt"
        fail_in: str = ""
        draw: bool = False

    def __init__(self, config):
        self.config = config
        made.append(self)

    def note(self, moment, run, *facts):
        with open(self.config.file, "a") as file:
            print(made.index(self), run.label, moment, *facts, file=file)
        if self.config.draw:
            random.random(), np.random.rand(), torch.rand(3)
            torch.manual_seed(1)
        if moment == self.config.fail_in:
            raise ValueError("my disk is full")

    def run_started(self, run, step):
        self.note("run_started", run, step)

    def step_logged(self, run, step, scalars):
        self.note("step_logged", run, step, *scalars)

    def evaluated(self, run, step, name, evaluation):
        self.note("evaluated", run, step, name)

    def checkpoint_saved(self, run, step, path):
        self.note("checkpoint_saved", run, step, path.is_file())

    def run_finished(self, run, status, results):
        self.note("run_finished", run, status, *results.get("headline", []))


def lab_register(registry):
    registry.add("observer", "watcher", Watcher)
"""

LOGS = "loss/class lr/optimizer speed/images_per_s"
SEEN = [
    "run_started 0",
    f"step_logged 5 {LOGS}",
    "evaluated 7 toy_confidence",
    f"step_logged 10 {LOGS}",
    f"step_logged 12 {LOGS}",
    "checkpoint_saved 12 True",
    "evaluated 12 toy_accuracy",
    "evaluated 12 toy_confidence",
    "run_finished finished toy_accuracy/train",
]


@pytest.fixture
def watcher(tmp_path: Path) -> Path:
    path = tmp_path / "watcher.py"
    path.write_text(WATCHER)
    return path


def watching(*observers: str) -> tuple[str, ...]:
    """The words that make a short run with these observers, as TOML, watched by them."""
    return (
        "--set",
        "steps=12",
        "--set",
        "checkpoint_every=12",
        "--set",
        f"run.observers=[{', '.join(observers)}]",
    )


def seen(file: str = "seen.txt") -> list[str]:
    """What one watcher was told, without its number and the run."""
    lines = [line.split(maxsplit=3) for line in Path(file).read_text().splitlines()]
    assert len({line[0] for line in lines}) == 1, "one observer a run"
    return [line[3] for line in lines]


def facts(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return found


# Components -------------------------------------------------------------------------------------------


def test_an_observer_by_its_name_sees_everything_in_order(
    lab: Lab, recipe: Path, watcher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab("run", recipe, "--plugin", watcher, *watching("'watcher'")) == 0
    assert seen() == SEEN
    # It stands in the place of those that are there by default.
    assert not (only_run() / "tensorboard").exists()
    assert "seed 0: 0 of 12" not in capsys.readouterr().err


def test_observers_with_options_beside_others(
    lab: Lab, recipe: Path, watcher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = "{ name = 'watcher', file = 'one.txt' }", "{ name = 'watcher', file = 'two.txt' }"
    assert lab("run", recipe, "--plugin", watcher, *watching("'console'", *options)) == 0
    assert seen("one.txt") == seen("two.txt") == SEEN
    assert "seed 0: 0 of 12" in capsys.readouterr().err
    resolved = (only_run() / "recipe.toml").read_text()
    assert 'file = "two.txt"' in resolved and 'fail_in = ""' in resolved


def test_every_run_has_observers_of_its_own(lab: Lab, recipe: Path, watcher: Path) -> None:
    assert lab("run", recipe, "--plugin", watcher, *watching("'watcher'"), "--set", "seeds=[3,4]") == 0
    lines = Path("seen.txt").read_text().splitlines()
    assert [line.partition(" run_")[0] for line in lines if "run_started" in line] == ["0 seed 3", "1 seed 4"]
    assert len(lines) == 2 * len(SEEN)


@pytest.mark.parametrize(
    ("observers", "message"),
    [
        ("['consle']", "unknown observer 'consle'"),
        ("[{ name = 'watcher', fil = 'x' }]", "unknown option 'fil' for observer 'watcher'"),
        ("[{ name = 'watcher', draw = 3 }]", "option 'draw' of observer 'watcher' is wrong"),
        ("[3]", "'run.observers.0' must name an observer"),
        ("'console'", "'run.observers' must be a list of observers"),
    ],
)
def test_an_observer_that_is_named_wrongly(
    lab: Lab, recipe: Path, watcher: Path, capsys: pytest.CaptureFixture[str], observers: str, message: str
) -> None:
    recipe.write_text(f"{RECIPE}observers = {observers}\n")
    line = len(recipe.read_text().splitlines())
    assert lab("run", recipe, "--plugin", watcher) == 2
    assert f"error: {message}\n  --> {recipe}:{line}\n" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_who_watches_is_no_part_of_what_a_run_is(lab: Lab, recipe: Path) -> None:
    assert lab("run", recipe, "--run-dir", "one", "--set", "steps=2") == 0
    silent = ("--set", "steps=2", "--set", "run.observers=[]")
    assert lab("run", recipe, "--run-dir", "two", *silent) == 0
    one, two = (facts(only_run(Path(root))) for root in ("one", "two"))
    assert one["identity"] == two["identity"]


def test_a_run_goes_on_before_other_observers(lab: Lab, recipe: Path, watcher: Path) -> None:
    failing = "--set", "trainer.bad_step=11", "--set", "run.keep_every=8"
    assert lab("run", recipe, "--plugin", watcher, *watching("'console'"), *failing) == 1
    again = ("--set", "run.observers=['watcher']", "--set", "trainer.bad_step=99")
    assert lab("resume", only_run(), "--plugin", watcher, *again) == 0
    assert seen()[0] == "run_started 8"


# Nothing that an observer does reaches the training ----------------------------------------------------


@pytest.mark.parametrize(
    "moment", ["run_started", "step_logged", "evaluated", "checkpoint_saved", "run_finished"]
)
def test_an_observer_that_raises_is_left_out_and_the_run_goes_on(
    lab: Lab, recipe: Path, watcher: Path, capsys: pytest.CaptureFixture[str], moment: str
) -> None:
    broken = f"{{ name = 'watcher', fail_in = '{moment}', file = 'broken.txt' }}"
    assert lab("run", recipe, "--plugin", watcher, *watching(broken, "'watcher'", "'console'")) == 0
    said = capsys.readouterr().err
    words = (
        f"warning: observer 'Watcher' failed in {moment} (seed 0) and is left out from here on: ValueError"
    )
    assert said.count(words) == 1
    first = next(number for number, line in enumerate(SEEN) if line.startswith(moment))
    assert seen("broken.txt") == SEEN[: first + 1]
    assert seen() == SEEN
    assert "seed 0: finished at step 12" in said
    assert facts(only_run())["status"] == "finished"


def test_one_that_is_left_out_of_a_run_watches_the_next(
    lab: Lab, recipe: Path, watcher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is told, though the words are the same."""
    broken = "{ name = 'watcher', fail_in = 'run_started' }"
    words = ("--set", "seeds=[0,1]", "--set", "steps=1")
    assert lab("run", recipe, "--plugin", watcher, *watching(broken, broken), *words) == 0
    lines = Path("seen.txt").read_text().splitlines()
    assert lines == [f"{number} seed {number // 2} run_started 0" for number in range(4)]
    said = capsys.readouterr().err
    for seed in (0, 1):
        assert said.count(f"warning: observer 'Watcher' failed in run_started (seed {seed}) and is left") == 2


def test_one_of_our_own_that_fails_is_left_out_too(
    lab: Lab, recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError("the terminal is gone")

    monkeypatch.setattr(ConsoleObserver, "step_logged", fail)
    assert lab("run", recipe, "--set", "steps=12") == 0
    said = capsys.readouterr().err
    assert said.count("'ConsoleObserver' failed in step_logged (seed 0) and is left out from here on") == 1
    assert list((only_run() / "tensorboard").glob("events.*"))


HOOK = """
import random

import numpy as np
import torch


def draw():
    random.random(), np.random.rand(), torch.rand(3)
    torch.manual_seed(1)


def lab_run_started(run): draw()
def lab_step_logged(run): draw()
def lab_evaluated(run): draw()
def lab_checkpoint_saved(run): draw()
"""


@pytest.mark.parametrize("who", ["an observer", "a hook"])
def test_whoever_draws_random_numbers_changes_nothing(
    lab: Lab, recipe: Path, watcher: Path, who: str
) -> None:
    assert lab("run", recipe, "--run-dir", "alone") == 0
    if who == "a hook":
        watcher.write_text(HOOK)
    observers = "[{ name = 'watcher', draw = true }]" if who == "an observer" else "[]"
    words = ("--plugin", watcher, "--set", f"run.observers={observers}")
    assert lab("run", recipe, *words, "--run-dir", "watched") == 0
    alone, watched = (last_state(only_run(Path(root))) for root in ("alone", "watched"))
    assert same(alone["trainer"], watched["trainer"])
    assert same(alone["random"], watched["random"])


def test_without_observers_a_run_is_silent_and_has_all_its_results(
    lab: Lab, recipe: Path, watcher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "--set", "steps=12", "--set", "checkpoint_every=12"
    assert lab("run", recipe, *words, "--run-dir", "watched") == 0
    capsys.readouterr()
    watcher.write_text("def lab_step_logged(step):\n    print(step, file=open('hook.txt', 'a'))\n")
    assert lab("run", recipe, "--plugin", watcher, *watching(), "--run-dir", "silent") == 0
    said = capsys.readouterr().err.splitlines()
    watched, silent = only_run(Path("watched")), only_run(Path("silent"))
    assert [line.partition(":")[0] for line in said] == ["machine", "toy images", "toy images", "run folder"]
    assert not (silent / "tensorboard").exists() and (watched / "tensorboard").exists()
    assert RunFolder(silent).results()["scalars"] == RunFolder(watched).results()["scalars"]
    kinds = [[event["type"] for event in RunFolder(path).history.events()] for path in (watched, silent)]
    assert kinds[0] == kinds[1]
    assert Path("hook.txt").read_text().split() == ["5", "10", "12"]  # a hook is no observer of the recipe


def test_what_is_evaluated_afterwards_is_told_to_no_observer(lab: Lab, recipe: Path, watcher: Path) -> None:
    observers = watching("'watcher'", "'tensorboard'")
    assert lab("run", recipe, "--plugin", watcher, *observers) == 0
    files = {path: path.read_bytes() for path in (only_run() / "tensorboard").iterdir()}
    assert lab("evaluate", only_run(), "--plugin", watcher) == 0
    assert seen() == SEEN
    assert {path: path.read_bytes() for path in (only_run() / "tensorboard").iterdir()} == files != {}


# What a run remembers of its plugins -------------------------------------------------------------------

CHANGED = "has changed since the run started"


def test_a_run_has_the_versions_of_plugins_and_the_hashes_of_files(
    lab: Lab, recipe: Path, watcher: Path, install: Install
) -> None:
    install("hello", "")
    install("broken", "1 / 0")
    assert lab("run", recipe, "--plugin", watcher, *watching("'watcher'")) == 0
    found = facts(only_run())
    assert found["plugins"] == {"hello": "pluglab-hello 1.2"}
    assert found["plugin_files"][str(watcher)] == hashlib.sha256(WATCHER.encode()).hexdigest()
    assert len(found["plugin_files"]) == 2  # and the toys


@pytest.mark.parametrize("command", ["resume", "evaluate"])
def test_a_plugin_file_that_has_changed_is_told(
    lab: Lab, recipe: Path, watcher: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert lab("run", recipe, "--plugin", watcher, *watching("'watcher'")) == 0
    capsys.readouterr()
    assert lab(command, only_run(), "--trust", toys=False) == 0  # with the files that it was started with
    assert CHANGED not in capsys.readouterr().err
    watcher.write_text(WATCHER + "\n# another line\n")
    assert lab(command, only_run(), "--trust", toys=False) == 0
    said = capsys.readouterr().err
    assert said.count(CHANGED) == 1 and f"plugin file {watcher} {CHANGED}\n" in said


def test_a_plugin_file_that_has_moved_is_known_by_its_name(
    lab: Lab, recipe: Path, watcher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab("run", recipe, "--plugin", watcher, *watching("'watcher'")) == 0
    Path("elsewhere").mkdir()
    moved = shutil.move(watcher, "elsewhere/watcher.py")
    capsys.readouterr()
    assert lab("resume", only_run(), "--plugin", moved) == 0
    assert CHANGED not in capsys.readouterr().err
    Path(moved).write_text(WATCHER + "\n# another line\n")
    assert lab("resume", only_run(), "--plugin", moved) == 0
    assert CHANGED in capsys.readouterr().err


def test_a_plugin_file_that_is_gone_is_named(
    lab: Lab, recipe: Path, watcher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab("run", recipe, "--plugin", watcher, *watching("'watcher'")) == 0
    watcher.unlink()
    assert lab("resume", only_run(), "--trust", toys=False) == 2
    assert f"error: there is no plugin file {watcher}\n" in capsys.readouterr().err


def test_another_version_of_a_plugin_is_told(
    lab: Lab, recipe: Path, install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install("hello", "")
    install("world", "")
    assert lab("run", recipe, *watching()) == 0
    for name, change in (("hello", ("1.2", "1.3")), ("world", ("[pluglab]", "[nothing]"))):
        for path in (tmp_path / "site").glob(f"pluglab_{name}-1.2.dist-info/*"):
            path.write_text(path.read_text().replace(*change))
    capsys.readouterr()
    assert lab("resume", only_run()) == 0
    said = capsys.readouterr().err
    assert "plugin 'hello' was pluglab-hello 1.2 when the run started, and is pluglab-hello 1.3\n" in said
    assert "plugin 'world' was pluglab-world 1.2 when the run started, and is not loaded\n" in said


# lab.toml ---------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def observers_of(folder: Path) -> list[str]:
    run = tomllib.loads((folder / "recipe.toml").read_text())["run"]
    return [one["name"] for one in run["observers"]]


def test_a_machines_defaults_stand_in_lab_toml(lab: Lab, recipe: Path, home: Path) -> None:
    """Beside the recipe before the home folder, the recipe before both, and --set before all."""
    short = ("--set", "steps=1")

    def observers(*words: str) -> list[str]:
        shutil.rmtree("runs", ignore_errors=True)
        assert lab("run", recipe, *short, *words) == 0
        return observers_of(only_run())

    assert observers() == ["console", "tensorboard"]
    (home / "lab.toml").write_text("run.observers = []\nrun.threads = 2\n")
    assert observers() == []
    Path("lab.toml").write_text("[run]\nobservers = ['tensorboard']\n")
    assert observers() == ["tensorboard"]
    recipe.write_text(RECIPE + "observers = ['console']\n")
    assert observers() == ["console"]
    assert observers("--set", "run.observers=['tensorboard', 'console']") == ["tensorboard", "console"]
    assert facts(only_run())["machine"]["threads"] == 1  # as the recipe says, not the home folder's 2


def test_a_value_of_lab_toml_is_shown_with_its_place(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("lab.toml").write_text("[run]\n\nkeep_every = 3\n")
    assert lab("show", "recipe", recipe, "--json") == 0
    rows = {row["key"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["run.keep_every"]["value"] == 3
    assert rows["run.keep_every"]["origin"].endswith("lab.toml:3")


def test_lab_toml_is_no_part_of_what_a_run_is(lab: Lab, recipe: Path) -> None:
    assert lab("run", recipe, "--set", "steps=1", "--run-dir", "one") == 0
    Path("lab.toml").write_text("run.observers = []\nrun.keep_every = 7\n")
    assert lab("run", recipe, "--set", "steps=1", "--run-dir", "two") == 0
    one, two = (facts(only_run(Path(root))) for root in ("one", "two"))
    assert one["identity"] == two["identity"]


def test_what_lab_toml_may_not_hold(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    Path("lab.toml").write_text("[run]\nkeep_every = 3\n\n[trainer]\nwidth = 3\n")
    assert lab("run", recipe) == 2
    assert capsys.readouterr().err == (
        "error: 'trainer' has no place in lab.toml\n"
        f" --> {tmp_path}/lab.toml:4\n"
        "  |\n"
        "4 | [trainer]\n"
        "  |  ^^^^^^^\n"
        "  = it holds the table [run], defaults for one machine, and nothing else\n"
    )
    Path("lab.toml").write_text("[run]\nkeep_evry = 3\n")
    assert lab("run", recipe) == 2
    said = capsys.readouterr().err
    assert f"error: unknown option 'keep_evry' for [run]\n --> {tmp_path}/lab.toml:2\n" in said
    assert not Path("runs").exists()


def test_lab_toml_is_no_recipe(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    Path("recipes").mkdir()
    Path("recipes/lab.toml").write_text("[run]\n")
    Path("recipes/a.toml").write_text("steps = 1\n")
    assert lab("list", "recipes", "--json") == 0
    assert [row["recipe"] for row in json.loads(capsys.readouterr().out)] == ["recipes/a.toml"]
