"""An exception that nobody expected fails its run, and no other."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest

from pluglab.engine.engine import Engine
from pluglab.protocols import Trainer
from pluglab.storage.run_folder import RunFolder
from tests.core.support import RECIPE, Lab, only_run

EXPERIMENT = RECIPE + "\n[variants.a]\n[variants.b.trainer]\nwidth = 4\n[variants.c.trainer]\nwidth = 2\n"


def test_a_fault_in_one_run_does_not_end_the_others(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe.write_text(EXPERIMENT)
    build = Engine._build
    trainers: dict[str, weakref.ref[Any]] = {}

    def fail(engine: Engine) -> Trainer:
        if engine.recipe.variant == "c":
            gc.collect()
            assert trainers["b"]() is None  # the failed run's networks are not in the way of the next
        trainer = build(engine)
        trainers[engine.recipe.variant] = weakref.ref(trainer)
        if engine.recipe.variant == "b":
            raise IndexError("a fault")
        return trainer

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "_build", fail)
        assert lab("run", recipe) == 1
    said = capsys.readouterr()
    assert "error: b, seed 0: IndexError: a fault" in said.err and "traceback.txt" in said.err
    assert [line.split()[0] for line in said.out.splitlines()[4:7]] == ["a", "b", "c"]
    b = only_run() / "b-seed0"
    assert [RunFolder(only_run() / f"{v}-seed0").read()["status"] for v in "abc"] == [
        *("finished", "failed", "finished")
    ]
    assert (b / "traceback.txt").read_text().endswith("IndexError: a fault\n")
    assert lab("resume", only_run()) == 0
    state = RunFolder(b).read()
    assert state["status"] == "finished" and state["error"] is None
    assert not (b / "traceback.txt").exists()


def test_wrong_input_that_shows_in_one_run_does_not_end_the_others(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe.write_text(EXPERIMENT)
    build = Engine._build

    def refuse(engine: Engine) -> Trainer:
        if engine.recipe.variant == "b":
            raise engine.recipe.error(("trainer", "width"), "too narrow")
        return build(engine)

    monkeypatch.setattr(Engine, "_build", refuse)
    assert lab("run", recipe) == 1
    said = capsys.readouterr().err
    assert "error: b, seed 0: too narrow\n  --> " in said and "toy.toml:26" in said
    assert [RunFolder(only_run() / f"{v}-seed0").read()["status"] for v in "abc"] == [
        *("finished", "failed", "finished")
    ]


REMOVING = """
import shutil

def lab_step_logged(run, step, scalars):
    if step == 15 and run.variant in ("", "b"):
        shutil.rmtree(run.folder)

def lab_register(registry):
    pass
"""


@pytest.mark.parametrize("text", [RECIPE, EXPERIMENT], ids=["alone", "one of three"])
def test_a_run_folder_that_is_removed_ends_its_run_and_nothing_takes_its_place(
    text: str, lab: Lab, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe.write_text(text)
    Path("removing.py").write_text(REMOVING)
    assert lab("run", recipe, "--plugin", tmp_path / "removing.py") == 1
    said = capsys.readouterr().err
    assert said.count("error: ") == 1 and "is gone\n" in said
    if text is EXPERIMENT:
        assert not (only_run() / "b-seed0").exists()
        states = [RunFolder(only_run() / f"{v}-seed0").read()["status"] for v in "ac"]
        assert states == ["finished", "finished"]
    else:
        assert list(Path("runs/toy").iterdir()) == []
