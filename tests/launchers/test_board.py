"""What is shown of runs that are elsewhere, and what becomes of those that are lost."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rich.console import Console

from pluglab.engine.signals import Signals
from pluglab.errors import RunError
from pluglab_launchers import attending
from pluglab_launchers.attending import State, attend
from pluglab_launchers.board import Board, Row
from pluglab_launchers.copies import Changes, packed, remove, unpack


def text_of(board: Board) -> str:
    board.console.print(board.table())
    found = board.console.file
    assert isinstance(found, io.StringIO)
    return found.getvalue()


def test_the_table_shows_what_is_under_way_first() -> None:
    said: list[str] = []
    board = Board(said.append, Console(file=io.StringIO(), width=80))
    with board:
        board.tell("a, seed 0", "running", "node1", "10 of 40")
        board.tell("a, seed 0", "finished", "node1", "40 of 40")
        board.tell("b, seed 0", "waiting")
        board.tell("b, seed 0", "running", "\x1b[31mnode2", "20 of 40")
    first, *rows = [line.split() for line in text_of(board).splitlines() if line.strip()]
    assert first == ["run", "state", "on", "step"]
    assert rows == [
        ["b,", "seed", "0", "running", "\\x1b[31mnode2", "20", "of", "40"],
        ["a,", "seed", "0", "finished", "node1", "40", "of", "40"],
    ]
    changes = ["a, seed 0: running on node1", "a, seed 0: finished", "b, seed 0: waiting"]
    assert said[:3] == changes and len(said) == 4


def test_of_many_runs_as_many_as_fit_are_shown() -> None:
    board = Board(print, Console(file=io.StringIO(), width=80))
    for number in range(40):
        board.rows[f"run {number}"] = Row("finished" if number < 35 else "running")
    lines = text_of(board).splitlines()
    assert "run 35" in lines[1] and "... and 10 more" in lines[-1]


@dataclass
class OneJob:
    """A run whose process is lost so many times."""

    label: str
    folder: Path
    losses: int
    status: str = "died"
    told: list[str] = field(default_factory=list)

    def command(self) -> list[str]:
        return []

    def relay(self, text: str) -> None:
        self.told.append(text)

    def execute(self) -> None: ...

    def failure(self) -> Exception | None:
        return RunError("its process ended before the run did") if self.losses > 0 else None


@dataclass
class OneAttempt:
    job: OneJob
    where: str = "node1"
    stopped: bool = False

    def look(self) -> State:
        return "lost"

    def stop(self) -> None:
        self.stopped = True


@dataclass
class OneSite:
    """A machine that loses every process at once."""

    started: list[str] = field(default_factory=list)

    def room(self) -> int:
        return 1

    def start(self, job: OneJob) -> OneAttempt:
        self.started.append(job.label)
        if len([one for one in self.started if one == job.label]) > 1:
            job.losses -= 1
        return OneAttempt(job)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attending, "SECONDS_BETWEEN_LOOKS", 0.0)
    monkeypatch.setattr(attending, "PATIENCE", -1.0)
    monkeypatch.setattr(attending, "status_of", lambda job: job.status)


@pytest.mark.usefixtures("quick")
def test_a_run_that_is_lost_is_tried_again_and_not_for_ever(tmp_path: Path) -> None:
    jobs = [OneJob("luckless", tmp_path, 9), OneJob("lucky", tmp_path, 2)]
    site, said = OneSite(), list[str]()
    failures = attend(jobs, site, 2, said.append, Signals())
    assert list(failures) == ["luckless"] and "node1 was lost, 3 times in all" in str(failures["luckless"])
    assert site.started == ["luckless"] * 3 + ["lucky"] * 3
    assert said.count("luckless: node1 was lost: goes on elsewhere") == 2


@pytest.mark.usefixtures("quick")
def test_a_run_that_failed_by_itself_is_not_tried_again(tmp_path: Path) -> None:
    site = OneSite()
    failures = attend([OneJob("bad", tmp_path, 9, "failed")], site, 3, print, Signals())
    assert site.started == ["bad"] and list(failures) == ["bad"]


@pytest.mark.usefixtures("quick")
def test_a_job_is_taken_when_there_is_room(tmp_path: Path) -> None:
    """What a sweep tries next may depend on what has ended."""
    site, taken = OneSite(), list[list[str]]()

    def jobs() -> Iterator[OneJob]:
        for number in range(3):
            taken.append(list(site.started))
            yield OneJob(f"run {number}", tmp_path, 0)

    assert attend(jobs(), site, 0, print, Signals()) == {}
    assert taken == [[], ["run 0"], ["run 0", "run 1"]]


def test_a_copy_of_a_folder_follows_its_changes(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "checkpoints").mkdir(parents=True)
    (here / "run.json").write_text("1")
    (here / ".lock").write_text("ours")
    unpack(packed(here), there)
    assert [path.name for path in there.iterdir()] == ["run.json"]
    changes = Changes(there)
    assert changes.take() == ({}, [])
    (there / "checkpoints").mkdir()
    (there / "metrics.jsonl").write_text("{}")
    (there / "checkpoints" / "new.pt").write_bytes(b"weights")
    (there / "checkpoints" / ".half.pt.0a1b").write_bytes(b"wei")
    (there / "run.json").unlink()
    files, gone = changes.take()
    assert list(files) == ["checkpoints/new.pt", "metrics.jsonl"], (
        "the history reaches as far as the checkpoint"
    )
    assert gone == ["run.json"]
    unpack(files, here)
    remove([*gone, "../outside"], here)
    assert (here / "checkpoints" / "new.pt").read_bytes() == b"weights" and not (here / "run.json").exists()
    with pytest.raises(ValueError, match="is no file of the run's folder"):
        unpack({"../outside": b""}, here)
