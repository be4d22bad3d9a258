"""`lab compare`: one table of runs from several folders."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest

from tests.core.support import Lab

SHORT = ("--set", "steps=2")


@pytest.fixture
def parts(lab: Lab, recipe: Path) -> None:
    """An experiment of two variants and three seeds that was shared out between two folders."""
    recipe.write_text(recipe.read_text() + "\n[variants.narrow]\ntrainer.width = 4\n[variants.wide]\n")
    assert lab("run", recipe, *SHORT, "--set", "seeds=[0,1]", "--run-dir", "one") == 0
    assert lab("run", recipe, *SHORT, "--set", "seeds=[2]", "--variant", "narrow", "--run-dir", "two") == 0


def rows(lab: Lab, capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, list[str]]:
    capsys.readouterr()
    assert lab("compare", *words, "--json", toys=False) == 0
    return {row[0]: row[1:] for row in json.loads(capsys.readouterr().out)["rows"]}


def values(folder: str, variant: str) -> list[float]:
    found = sorted(Path(folder).glob(f"toy/*/{variant}*/results.json"))
    found = found or sorted(Path(folder).glob("toy/*/results.json"))
    return [json.loads(path.read_text())["scalars"]["toy_accuracy/train"] for path in found]


@pytest.mark.usefixtures("parts")
def test_seeds_of_several_folders_are_averaged(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    found = rows(lab, capsys, "one", "two", "--column", "toy_accuracy/train")
    three = values("one", "narrow") + values("two", "narrow")
    assert len(three) == 3
    assert found["narrow"] == [f"{statistics.fmean(three):.2f} \u00b1 {statistics.stdev(three):.2f}"]
    assert set(found) == {"narrow", "wide"}


@pytest.mark.usefixtures("parts")
def test_runs_of_other_options_have_a_row_of_their_own(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab("run", recipe, "--set", "steps=3", "--variant", "narrow", "--run-dir", "three") == 0
    assert set(rows(lab, capsys, "one", "three")) == {"narrow (1)", "narrow (2)", "wide"}
    assert lab("run", recipe, *SHORT, "--set", "title=mine", "--variant", "narrow", "--run-dir", "four") == 0
    assert set(rows(lab, capsys, "one", "four")) == {"toy, narrow", "mine, narrow", "wide"}


@pytest.mark.usefixtures("parts")
def test_a_run_that_is_repeated_counts_once(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = rows(lab, capsys, "one", "two")
    assert lab("run", recipe, *SHORT, "--set", "seeds=[2]", "--variant", "narrow", "--run-dir", "again") == 0
    assert rows(lab, capsys, "one", "two", "again") == before
    assert lab("compare", "one", "two", "again", "--markdown", toys=False) == 0
    said = capsys.readouterr()
    assert "repeats" in said.err
    assert said.out.startswith("|  | toy_accuracy/train |")


@pytest.mark.usefixtures("parts")
def test_runs_that_were_looked_at_in_another_way_are_averaged_where_they_agree(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Evaluators and their names are no part of what a run is; how its checkpoint was picked is."""
    more = (*SHORT, "--set", "seeds=[7]", "--variant", "narrow")
    look = 'evaluate=[{name="toy_confidence", every=1}, {name="toy_accuracy", as="mine"}]'
    assert lab("run", recipe, *more, "--set", look, "--run-dir", "looked") == 0
    found = rows(lab, capsys, "one", "looked", "--column", "toy_accuracy/train")
    three = values("one", "narrow") + values("looked", "narrow")
    assert found["narrow"] == [f"{statistics.fmean(three):.2f} \u00b1 {statistics.stdev(three):.2f}"]
    picking = ("--set", look, "--set", "select.metric=confidence", "--run-dir", "picked")
    assert lab("run", recipe, *more, *picking) == 0
    assert set(rows(lab, capsys, "one", "picked")) == {"narrow (1)", "narrow (2)", "wide"}


def test_what_cannot_be_compared(lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    assert lab("compare", "empty", toys=False) == 2
    assert "there is no run in empty" in capsys.readouterr().err
    assert lab("run", recipe, *SHORT) == 0
    assert lab("compare", "runs", "--column", "toy_acuracy/train", toys=False) == 2
    assert (
        "no run has the scalar 'toy_acuracy/train'\n  = did you mean 'toy_accuracy/train'?\n"
        in capsys.readouterr().err
    )
    (state,) = Path("runs").rglob("run.json")
    state.write_text(state.read_text().replace('"finished"', '"failed"'))
    assert lab("compare", "runs", toys=False) == 2
    assert "no run there has finished" in capsys.readouterr().err
