"""What an observer does wrong reaches neither the training nor whoever else watches."""

from __future__ import annotations

from pathlib import Path

import pytest

from pluglab.storage.run_folder import RunFolder
from tests.core.support import RECIPE, Lab, last_state, only_run, same
from tests.core.test_observers_as_components import SEEN, WATCHER, facts, seen, watching


@pytest.fixture
def watcher(tmp_path: Path) -> Path:
    path = tmp_path / "watcher.py"
    path.write_text(WATCHER)
    return path


UNFIT = """
from pluglab import Options, UserError


class Unfit:
    class Config(Options):
        how: str = "KeyError('server')"

    def __init__(self, config):
        raise eval(config.how)

    def step_logged(self, run, step, scalars):
        open("unfit.txt", "w")


def lab_register(registry):
    registry.add("observer", "unfit", Unfit)
"""


@pytest.mark.parametrize("how", ["KeyError('server')", "SystemExit(3)"])
def test_an_observer_that_cannot_be_made_is_left_out(
    lab: Lab, recipe: Path, watcher: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    watcher.with_name("unfit.py").write_text(UNFIT)
    observers = watching(f'{{ name = "unfit", how = "{how}" }}', "'watcher'")
    words = ("--plugin", watcher, "--plugin", watcher.with_name("unfit.py"))
    assert lab("run", recipe, *words, *observers) == 0
    kind = how.partition("(")[0]
    warning = f"warning: observer 'unfit' failed in __init__ (seed 0) and is left out from here on: {kind}: "
    assert capsys.readouterr().err.count(warning) == 1
    assert seen() == SEEN and not Path("unfit.txt").exists()


def test_an_observer_that_finds_its_options_wrong_ends_the_run_before_it_begins(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("unfit.py").write_text(UNFIT)
    how = """[{ name = 'unfit', how = 'UserError("no server of that name", help=["start one"])' }]"""
    recipe.write_text(f"{RECIPE}observers = {how}\n")
    assert lab("run", recipe, "--plugin", "unfit.py") == 1
    error = capsys.readouterr().err
    line = len(recipe.read_text().splitlines())
    assert f"error: no server of that name\n  --> {recipe}:{line}\n" in error and "  = start one\n" in error
    found = facts(only_run())
    assert (found["status"], found["error"]) == ("failed", "no server of that name")
    assert not RunFolder(only_run()).history.events() and not list(only_run().glob("checkpoints/*"))


MEDDLER = """
import torch


class Meddler:
    '''Changes all that it can reach.'''

    def run_started(self, run, step):
        run.options.clear()

    def step_logged(self, run, step, scalars):
        scalars.clear()
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        torch.set_num_threads(torch.get_num_threads() + 1)

    def evaluated(self, run, step, name, evaluation):
        for part in (evaluation.scalars, evaluation.tables, evaluation.protocol, evaluation.protocols):
            part.clear()
        for figure in evaluation.figures.values():
            figure.array[:] = 0
        evaluation.figures.clear()

    def run_finished(self, run, status, results):
        results["scalars"].clear()
        results["evaluations"].clear()


meddler = Meddler()


def lab_run_started(run, step): meddler.run_started(run, step)
def lab_step_logged(run, step, scalars): meddler.step_logged(run, step, scalars)
def lab_evaluated(run, step, name, evaluation): meddler.evaluated(run, step, name, evaluation)
def lab_run_finished(run, status, results): meddler.run_finished(run, status, results)


class Writer:
    '''Writes down all that it is told.'''

    def run_started(self, run, step):
        self.write(run.folder, dict(run.options))

    def step_logged(self, run, step, scalars):
        self.write(run.folder, *scalars)

    def evaluated(self, run, step, name, evaluation):
        sums = {key: int(figure.array.sum()) for key, figure in evaluation.figures.items()}
        self.write(run.folder, evaluation.scalars, evaluation.tables, evaluation.protocol, sums)

    def run_finished(self, run, status, results):
        self.write(run.folder, results["scalars"], list(results["evaluations"]))

    def write(self, folder, *facts):
        with open(folder / "written.txt", "a") as file:
            print(*facts, file=file)


def lab_register(registry):
    registry.add("observer", "meddler", Meddler)
    registry.add("observer", "writer", Writer)
"""


def test_what_an_observer_does_to_what_it_is_told_reaches_nobody_else(lab: Lab, recipe: Path) -> None:
    """Nor the training: networks, buffers and random generators are those of a run that nobody watched."""
    Path("meddler.py").write_text(MEDDLER)
    Path("writer.py").write_text(
        MEDDLER.replace("def lab_", "def _").replace("def _register", "def lab_register")
    )
    alone = ("--plugin", "writer.py", *watching("'writer'"), "--run-dir", "alone")
    assert lab("run", recipe, *alone) == 0
    observers = "'meddler/meddler'", "'meddler/writer'"
    assert lab("run", recipe, "--plugin", "meddler.py", *watching(*observers), "--run-dir", "watched") == 0
    one, other = (only_run(Path(root)) for root in ("alone", "watched"))
    before, after = last_state(one), last_state(other)
    assert same(before["trainer"], after["trainer"]) and same(before["random"], after["random"])
    results = [RunFolder(run).results() for run in (one, other)]
    for name in ("scalars", "evaluations", "protocols", "headline"):
        assert results[0][name] == results[1][name] != {}
    told = [(run / "written.txt").read_text().splitlines() for run in (one, other)]
    assert told[0][1:] == told[1][1:] and "'batch_size': 16" in told[1][0]
