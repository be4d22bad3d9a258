"""Checkpoints are written while the training goes on, and keep all promises of those written at once."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pluglab.engine.engine import Engine
from pluglab.errors import RunError
from pluglab.storage.checkpoints import Checkpoints
from pluglab.storage.run_folder import RunFolder
from pluglab.storage.saving import Saving
from tests.core.runs import events, saved_steps
from tests.core.support import Lab, lab_process, last_state, only_run, same

SLOW = """
import os, time

sync = os.fsync

def slowly(descriptor):
    if ".step_" in os.readlink(f"/proc/self/fd/{descriptor}"):
        time.sleep(0.5)
    sync(descriptor)

os.fsync = slowly

def lab_register(registry):
    pass
"""


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A plugin under which the disk takes half a second for a checkpoint: a thousand steps of the toys."""
    path = tmp_path / "slow.py"
    path.write_text(SLOW)
    return path


@pytest.fixture
def saving(tmp_path: Path) -> Iterator[Saving]:
    made = Saving(Checkpoints(tmp_path))
    yield made
    made.close()


class Disk:
    """A disk that writes no checkpoint before it is let, or that is full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free, self.full, self._sync = threading.Event(), False, os.fsync
        monkeypatch.setattr(os, "fsync", self.sync)

    def sync(self, descriptor: int) -> None:
        if ".step_" in Path(f"/proc/self/fd/{descriptor}").readlink().name:
            assert self.free.wait(60)
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
        self._sync(descriptor)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


# One checkpoint ---------------------------------------------------------------------------------------


def test_what_is_written_is_the_state_as_it_was(tmp_path: Path, saving: Saving, disk: Disk) -> None:
    shared = torch.zeros(1000)
    state: dict[str, Any] = {"weights": shared, "half": shared[::2], "list": [1]}
    saving._pool.submit(disk.free.wait)  # the thread comes to it later
    saving.begin(state, 1)
    assert saving.saved() is None and not Checkpoints(tmp_path).files()
    shared.add_(1)
    state["list"].append(2)
    disk.free.set()
    step, path = saving.saved(wait=True) or (0, tmp_path)
    ((file, found),) = Checkpoints(tmp_path).whole()
    assert (step, path) == (1, file.path)
    assert found["weights"].tolist() == [0] * 1000 and found["list"] == [1]
    found["weights"].add_(5)  # what was one tensor still is
    assert found["half"].tolist() == [5] * 500
    assert saving.saved(wait=True) is None


def test_the_memory_of_the_copy_is_used_again(tmp_path: Path, saving: Saving) -> None:
    for step, size in enumerate((1000, 10, 2000)):
        saving.begin({"x": torch.full((size,), step)}, step)
        saving.saved(wait=True)
    assert [len(state["x"]) for _, state in Checkpoints(tmp_path).whole()] == [2000, 10]


def test_what_goes_wrong_is_raised_once_and_the_next_is_written(
    tmp_path: Path, saving: Saving, disk: Disk
) -> None:
    disk.full = True
    saving.begin({"x": 1}, 1)
    assert not saving.failed
    disk.free.set()
    with pytest.raises(RunError, match="no space left"):
        saving.saved(wait=True)
    disk.full = False
    saving.begin({"x": 2}, 2)
    saving.saved(wait=True)
    assert [state for _, state in Checkpoints(tmp_path).whole()] == [{"x": 2}]


def test_what_a_killed_process_has_left_half_written_is_taken_away(tmp_path: Path, saving: Saving) -> None:
    (tmp_path / ".step_00000001.0123456789abcdef.pt.01234567").write_bytes(b"half")
    (tmp_path / ".mine").write_bytes(b"other")
    saving.begin({"x": 2}, 2)
    saving.saved(wait=True)
    assert sorted(path.name[:5] for path in tmp_path.iterdir()) == [".mine", "step_"]


# Runs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["KILL:13", "TERM:13"])
def test_a_run_that_is_ended_while_it_writes_goes_on_bit_for_bit(
    end: str, lab: Lab, recipe: Path, slow: Path
) -> None:
    ended = lab_process("run", recipe, "--plugin", slow, TOY_END=end)
    assert ended.returncode == (143 if end.startswith("TERM") else -9), ended.stderr
    folder = only_run() / "checkpoints"
    if end.startswith("TERM"):
        assert saved_steps(only_run()) == [10, 14]
    else:
        assert saved_steps(only_run()) == []
        assert len(list(folder.glob(".step_00000010.*"))) <= 1  # none where writing has not begun
    assert lab("resume", only_run()) == 0
    assert all(path.name.startswith("step_") for path in folder.iterdir())
    assert [event["step"] for event in events(only_run(), "step")] == [5, 10, 15, 20, 25, 30, 35, 40]
    assert lab("run", recipe, "--run-dir", "whole") == 0
    found, whole = last_state(only_run()), last_state(only_run(Path("whole")))
    assert all(same(found[key], whole[key]) for key in ("step", "trainer", "random"))


def test_training_goes_on_meanwhile_and_its_history_knows_what_is_on_the_disk(
    lab: Lab, recipe: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(engine: Engine) -> None:
        if engine.step == 15:
            assert not engine.checkpoints.steps()  # the one of step 10 is under way
            disk.free.set()

    before(monkeypatch, "_log", look)
    assert lab("run", recipe) == 0
    told = [(event["type"], event.get("step")) for event in events(only_run())]
    assert [step for kind, step in told if kind == "checkpoint"] == [10, 20, 30, 40]
    assert told.index(("checkpoint", 10)) > told.index(("step", 15))
    # The last is there before anybody evaluates the end.
    assert told.index(("checkpoint", 40)) < told.index(("evaluation", 40))


def test_a_full_disk_ends_the_run_at_the_next_step(
    lab: Lab, recipe: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fill(engine: Engine) -> None:
        if engine.step == 13:
            disk.free.set()
            while not engine.saving.failed:
                time.sleep(0.001)

    disk.full = True
    before(monkeypatch, "_parts", fill)
    sets = "steps=1000", "log_every=1000", "evaluate.1.every=1000", "run.observers=[]"
    assert lab("run", recipe, *(word for one in sets for word in ("--set", one))) == 1
    assert "no space left on the disk" in capsys.readouterr().err
    assert RunFolder(only_run()).read()["step"] == 14
    assert not list((only_run() / "checkpoints").iterdir())


def test_the_remedy_that_is_told_knows_of_what_was_being_written(
    lab: Lab, recipe: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before(monkeypatch, "_remedies", lambda engine: disk.free.set())
    assert lab("run", recipe, "--set", "trainer.bad_step=12") == 1
    assert saved_steps(only_run()) == [10]
    assert "go on from step 10" in capsys.readouterr().err


@pytest.mark.parametrize("full", [False, True])
def test_a_run_that_fails_otherwise_waits_for_what_is_being_written(
    full: bool,
    lab: Lab,
    recipe: Path,
    disk: Disk,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(engine: Engine) -> None:
        if engine.step == 15:
            disk.free.set()
            raise RunError("a failure of its own")

    disk.full = full
    before(monkeypatch, "_log", fails)
    assert lab("run", recipe) == 1
    said = capsys.readouterr().err
    assert "seed 0: a failure of its own" in said
    assert ("no space left" in said) == full
    assert saved_steps(only_run()) == ([] if full else [10])
    assert [event["step"] for event in events(only_run(), "checkpoint")] == ([] if full else [10])


def test_a_checkpoint_every_step_changes_no_weight(lab: Lab, recipe: Path) -> None:
    assert lab("run", recipe, "--set", "checkpoint_every=1") == 0
    assert lab("run", recipe, "--run-dir", "whole", "--set", "checkpoint_every=40") == 0
    assert same(last_state(only_run())["trainer"], last_state(only_run(Path("whole")))["trainer"])
    assert [event["step"] for event in events(only_run(), "checkpoint")] == list(range(1, 41))
    assert saved_steps(only_run()) == [39, 40]


def before(monkeypatch: pytest.MonkeyPatch, method: str, act: Callable[[Engine], None]) -> None:
    """Do something before each call of a method of the engine."""
    whole = getattr(Engine, method)

    def first(engine: Engine, *rest: object) -> object:
        act(engine)
        return whole(engine, *rest)

    monkeypatch.setattr(Engine, method, first)


def test_the_lines_before_a_checkpoint_are_on_the_disk_before_it_has_its_name(
    lab: Lab, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        sync(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        done.append(
            "lines" if path.name == "metrics.jsonl" else "checkpoint" if ".step_" in path.name else ""
        )

    monkeypatch.setattr(os, "fsync", noted)
    assert lab("run", recipe) == 0
    kinds = [kind for kind in done if kind]
    assert kinds[::2] == ["lines"] * len(kinds[::2]) and set(kinds[1::2]) == {"checkpoint"}
