"""`lab list runs`, `lab tag` and `lab clean`: what is there, found again, and taken away."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pluglab.errors import UserError
from pluglab.storage.run_folder import RunFolder, Tags, run_folders
from tests.core.support import Lab, only_run

Listed = Callable[..., list[dict[str, Any]]]

VARIANTS = """
[variants.slow]
trainer.optimizer.lr = 0.001
[variants.fast]
trainer.optimizer.lr = 0.02
"""


@pytest.fixture
def listed(lab: Lab, capsys: pytest.CaptureFixture[str]) -> Listed:
    """`lab list runs WORDS... --json`."""

    def call(*words: str) -> list[dict[str, Any]]:
        capsys.readouterr()
        assert lab("list", "runs", *words, "--json") == 0
        rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
        return rows

    return call


@pytest.fixture
def experiment(lab: Lab, recipe: Path) -> Path:
    """Two variants, of which the second took another rate."""
    recipe.write_text(recipe.read_text() + VARIANTS)
    assert lab("run", recipe, "--set", "steps=10", "--tag", "first", "--note", "as printed") == 0
    return only_run()


COLUMNS = [
    "run",
    "started",
    "minutes",
    "method",
    "changed",
    "status",
    "step",
    "results",
    "size",
    "tags",
    "note",
]

# What there is -------------------------------------------------------------------------------------------


def test_runs_of_an_experiment_are_listed_with_what_differs_and_what_came_of_it(
    experiment: Path, listed: Listed
) -> None:
    slow, fast = listed()
    assert [row["run"] for row in (slow, fast)] == [str(experiment / f"{v}-seed0") for v in ("slow", "fast")]
    assert slow["changed"] == {"trainer.optimizer.lr": 0.001}
    assert fast["changed"] == {"trainer.optimizer.lr": 0.02}
    for row in (slow, fast):
        results = json.loads((Path(row["run"]) / "results.json").read_text())
        assert row["scalars"] == results["scalars"] and row["headline"] == results["headline"]
        assert (row["status"], row["step"], row["steps"], row["trainer"]) == ("finished", 10, 10, "toy")
        assert row["seconds"] == pytest.approx(sum(results["seconds"].values()))
        files = [path for path in Path(row["run"]).rglob("*") if path.is_file()]
        assert row["bytes"] == sum(path.stat().st_size for path in files)
        assert (row["tags"], row["note"]) == (["first"], "as printed")


def test_the_table_leaves_out_columns_without_content(
    experiment: Path, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert lab("list", "runs") == 0
    table = capsys.readouterr().out
    head, _, slow, fast = table.strip().splitlines()
    assert head.split() == COLUMNS
    assert "lr 0.001" in slow and "lr 0.02" in fast and "10 of 10" in slow and "as printed" in fast
    assert lab("tag", experiment, "--remove", "first", "--note", "", toys=False) == 0
    capsys.readouterr()
    assert lab("list", "runs") == 0
    assert capsys.readouterr().out.split("\n")[1].split()[-1] == "size"


def test_how_far_an_unfinished_run_is_comes_from_its_history(lab: Lab, recipe: Path, listed: Listed) -> None:
    assert lab("run", recipe) == 0
    run = RunFolder(only_run())
    run.update(status="running", step=None)  # its process is gone
    lines = [event for event in run.history.events() if event.get("step", 0) <= 20]
    run.history.path.write_text("".join(json.dumps(event) + "\n" for event in lines))
    (row,) = listed("--status", "died")
    assert (row["status"], row["step"], row["steps"]) == ("died", 20, 40)


def test_a_damaged_run_stands_among_the_others(experiment: Path, listed: Listed) -> None:
    (experiment / "slow-seed0" / "run.json").write_text("{")
    damaged, fast = listed()
    assert damaged["status"] == "damaged" and "cannot be read" in damaged["error"]
    assert fast["status"] == "finished"
    assert listed("--status", "damaged") == [damaged]


# Which ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (["variant=fast"], ["fast"]),
        (["trainer.name=toy", "variant!=fast"], ["slow"]),
        (["trainer=toy"], ["slow", "fast"]),
        (["trainer.optimizer.lr=2e-2"], ["fast"]),
        (["seed=0", "status=finished"], ["slow", "fast"]),
        (["seed=1"], []),
        (["tag=first"], ["slow", "fast"]),
        (["tag!=first"], []),
        (["note=as printed", "step=10"], ["slow", "fast"]),
    ],
)
@pytest.mark.usefixtures("experiment")
def test_conditions_choose_runs(where: list[str], found: list[str], listed: Listed) -> None:
    words = [word for one in where for word in ("--where", one)]
    assert [row["variant"] for row in listed(*words)] == found


@pytest.mark.usefixtures("experiment")
def test_runs_are_sorted_by_what_one_says(listed: Listed) -> None:
    by_rate = listed("--sort", "trainer.optimizer.lr", "--reverse")
    assert [row["variant"] for row in by_rate] == ["fast", "slow"]
    assert [row["variant"] for row in listed("--sort", "variant")] == ["fast", "slow"]
    assert [row["variant"] for row in listed("--reverse")] == ["fast", "slow"]


@pytest.mark.usefixtures("experiment")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--where", "trainer.nam=toy"], "did you mean 'trainer.name'?"),
        (["--where", "variant"], "'variant' is no condition"),
        (["--sort", "accuraci"], "no run has 'accuraci'"),
    ],
)
def test_what_no_run_has_is_told(
    words: list[str], told: str, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab("list", "runs", *words) == 2
    assert told in capsys.readouterr().err


def test_conditions_are_for_runs(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("list", "trainers", "--where", "name=dann") == 2
    assert "are for `lab list runs`" in capsys.readouterr().err


# Tags ----------------------------------------------------------------------------------------------------


def test_tags_change_and_the_run_stays_what_it_is(
    experiment: Path, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = run_folders(experiment)
    before = [(run.read()["identity"], (run.path / "run.json").read_bytes()) for run in runs]
    capsys.readouterr()
    assert lab("tag", experiment, "--add", "good", "--add", "good", "--remove", "first", toys=False) == 0
    assert capsys.readouterr().out.splitlines() == [f"{run.path}: good; as printed" for run in runs]
    assert [run.tags() for run in runs] == [Tags(("good",), "as printed")] * 2
    assert [(run.read()["identity"], (run.path / "run.json").read_bytes()) for run in runs] == before


def test_a_tag_is_one_word(lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("run", recipe, "--tag", "two words") == 2
    assert "'two words' is no tag" in capsys.readouterr().err
    assert not Path("runs").exists()


# Taking away ---------------------------------------------------------------------------------------------


def steps_of(run: RunFolder) -> list[int]:
    return sorted(int(path.name.split("_")[1].split(".")[0]) for path in run.checkpoints.glob("*.pt"))


@pytest.fixture
def kept(lab: Lab, recipe: Path) -> RunFolder:
    """A run with checkpoints of steps 10 to 40, whose reported step is 20."""
    assert lab("run", recipe, "--set", "run.keep_every=10") == 0
    run = RunFolder(only_run())
    results = json.loads(run.results_file.read_text())
    run.results_file.write_text(json.dumps({**results, "step": 20}))
    assert steps_of(run) == [10, 20, 30, 40]
    return run


def test_checkpoints_but_the_reported_and_the_newest_go(
    kept: RunFolder, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = sum(path.stat().st_size for path in kept.checkpoints.glob("step_000000[13]*.pt"))
    capsys.readouterr()
    assert lab("clean", kept.path, "--checkpoints", "--dry-run", toys=False) == 0
    told = capsys.readouterr().out
    assert "2 of 4 checkpoints; kept: step 20, 40" in told and f"{gone / 1000:.1f} kB" in told
    assert "would be removed; nothing was" in told and steps_of(kept) == [10, 20, 30, 40]
    assert lab("clean", kept.path, "--checkpoints", "--yes", toys=False) == 0
    assert steps_of(kept) == [20, 40] and kept.results()["step"] == 20
    assert lab("clean", kept.path, "--checkpoints", "--yes", toys=False) == 0
    assert "there is nothing to remove" in capsys.readouterr().err
    assert lab("clean", kept.path, "--checkpoints", "--all", "--yes", toys=False) == 0
    assert steps_of(kept) == [] and kept.results()["step"] == 20


def test_nothing_goes_unasked(kept: RunFolder, lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("clean", kept.path, toys=False) == 2
    assert "give --yes" in capsys.readouterr().err and kept.path.is_dir()


@pytest.mark.parametrize(("answer", "there"), [("n\n", True), ("y\n", False)])
def test_a_person_is_asked(
    answer: str, there: bool, kept: RunFolder, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert lab("clean", kept.path, toys=False) == 0
    assert kept.path.exists() == there


class Terminal:
    """A standard input with a person."""

    def __init__(self, answer: str) -> None:
        self.answer = answer

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return self.answer


def test_a_run_that_goes_on_is_never_touched(
    experiment: Path, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    with run_folders(experiment)[1].held():
        assert lab("clean", experiment, "--yes", toys=False) == 2
        assert lab("clean", experiment, "--checkpoints", "--all", "--yes", toys=False) == 2
    assert "fast-seed0 is running" in capsys.readouterr().err
    assert [steps_of(run) for run in run_folders(experiment)] == [[10], [10]]


def test_a_run_of_an_experiment_goes_and_the_others_stay_an_experiment(
    experiment: Path, lab: Lab, listed: Listed
) -> None:
    assert lab("clean", experiment, "--where", "variant=slow", "--yes", toys=False) == 0
    assert [row["variant"] for row in listed()] == ["fast"]
    assert [run.path.name for run in run_folders(experiment)] == ["fast-seed0"]
    assert lab("clean", experiment, "--yes", toys=False) == 0
    assert not experiment.exists() and not experiment.parent.exists()
    assert listed() == []


def test_what_is_no_run_is_not_removed(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert lab("clean", tmp_path / "mine", "--yes", toys=False) == 2
    assert (tmp_path / "mine").is_dir()
    assert lab("clean", tmp_path, "--all", "--yes", toys=False) == 2


def test_tags_of_a_damaged_file_are_told(experiment: Path) -> None:
    run = run_folders(experiment)[0]
    (run.path / "tags.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        run.tags()
