"""`lab compare`: one table of runs from several folders."""

from __future__ import annotations

import csv
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.core.support import Lab
from tests.core.test_preparation import GENERATORS

SHORT = ("--set", "steps=2")


@pytest.fixture
def parts(lab: Lab, recipe: Path) -> None:
    """An experiment of two variants and three seeds that was shared out between two folders."""
    recipe.write_text(recipe.read_text() + "\n[variants.narrow]\ntrainer.width = 4\n[variants.wide]\n")
    assert lab("run", recipe, *SHORT, "--set", "seeds=[0,1]", "--run-dir", "one") == 0
    assert lab("run", recipe, *SHORT, "--set", "seeds=[2]", "--variant", "narrow", "--run-dir", "two") == 0


def printed(lab: Lab, capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    capsys.readouterr()
    assert lab("compare", *words, toys=False) == 0
    return capsys.readouterr().out


def rows(lab: Lab, capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, Any]:
    """The mean and deviation of each row."""
    found = json.loads(printed(lab, capsys, *words, "--json"))["rows"]
    return {row["label"]: row["scores"]["toy_accuracy/train"] for row in found}


def values(folder: str, variant: str) -> list[float]:
    found = sorted(Path(folder).glob(f"toy/*/{variant}*/results.json"))
    found = found or sorted(Path(folder).glob("toy/*/results.json"))
    return [json.loads(path.read_text())["scalars"]["toy_accuracy/train"] for path in found]


@pytest.mark.usefixtures("parts")
def test_seeds_of_several_folders_are_averaged(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    found = rows(lab, capsys, "one", "two", "--column", "toy_accuracy/train")
    three = values("one", "narrow") + values("two", "narrow")
    assert len(three) == 3
    assert found["narrow"]["mean"] == pytest.approx(statistics.fmean(three))
    assert found["narrow"]["deviation"] == pytest.approx(statistics.stdev(three))
    assert found["narrow"]["seeds"] == dict(zip("012", three, strict=True))
    assert list(found) == ["narrow", "wide"]


@pytest.mark.usefixtures("parts")
def test_runs_of_other_options_have_a_row_of_their_own(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab("run", recipe, "--set", "steps=3", "--variant", "narrow", "--run-dir", "three") == 0
    assert set(rows(lab, capsys, "one", "three")) == {"narrow (steps 2)", "narrow (steps 3)", "wide"}
    assert lab("run", recipe, *SHORT, "--set", "title=mine", "--variant", "narrow", "--run-dir", "four") == 0
    assert set(rows(lab, capsys, "one", "four")) == {"narrow", "wide"}  # a title changes no run


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
    assert found["narrow"]["mean"] == pytest.approx(statistics.fmean(three)) and found["narrow"]["n"] == 3
    picking = ("--set", look, "--set", "select.metric=confidence", "--run-dir", "picked")
    assert lab("run", recipe, *more, *picking) == 0
    picked = {"narrow (no metric)", "narrow (metric confidence)", "wide"}
    assert set(rows(lab, capsys, "one", "picked")) == picked


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


@pytest.mark.usefixtures("parts")
def test_what_differs_in_columns_and_as_csv(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(lab, capsys, "one", "--changed", "columns", "--markdown")
    assert out.splitlines()[0] == "|  | trainer.width | toy_accuracy/train |"
    assert [line.split(" | ")[1] for line in out.splitlines()[2:]] == ["4", "8"]
    lines = list(csv.reader(printed(lab, capsys, "one", "two", "--csv").splitlines()))
    head = ["row", "scenario", "method", "oracle", "trainer.width", "scalar", "mean", "deviation", "n"]
    assert lines[0] == [*head, "seed 0", "seed 1", "seed 2"]
    assert lines[1][:6] == ["narrow", "toy_images", "narrow", "False", "4", "toy_accuracy/train"]
    three = values("one", "narrow") + values("two", "narrow")
    assert list(map(float, lines[1][9:])) == three and float(lines[1][6]) == statistics.fmean(three)
    assert lines[2][0] == "wide" and lines[2][11] == ""


@pytest.mark.usefixtures("parts")
def test_a_pivot_in_latex_and_with_places(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    turned = ("--rows", "trainer.width", "--columns", "trainer.name", "--places", "0", "--latex")
    out = printed(lab, capsys, "one", *turned).splitlines()
    assert out[:4] == [
        "% toy_accuracy/train",
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"trainer.width & toy \\",
    ]
    assert [line[0] for line in out[5:7]] == ["4", "8"] and r" $\pm$ " in out[5]
    with_two_forms = ("one", "--latex", "--csv")
    assert lab("compare", *with_two_forms, toys=False) == 2
    assert "--csv and --latex are two forms" in capsys.readouterr().err


@pytest.mark.usefixtures("parts")
def test_differences_have_an_interval(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, value in ((0, 90.0), (1, 91.0)):  # what the toys reach hardly differs
        (file,) = Path("one").glob(f"toy/*/wide-seed{seed}/results.json")
        results = json.loads(file.read_text())
        results["scalars"]["toy_accuracy/train"] = value
        file.write_text(json.dumps(results))
    first, second = values("one", "narrow")
    (found,) = json.loads(printed(lab, capsys, "one", "--against", "narrow", "--json"))
    assert found["row"] == "wide" and found["n"] == 2
    assert found["mean"] == pytest.approx((90 - first + 91 - second) / 2)
    assert found["bootstrap"] == pytest.approx(sorted([90 - first, 91 - second]))
    out = printed(lab, capsys, "one", "two", "--against", "narrow")
    assert "against narrow" in out and "95 % interval" in out and "by bootstrap" in out
    assert lab("compare", "one", "--against", "narow", toys=False) == 2
    assert "no row is called 'narow'\n  = did you mean 'narrow'?" in capsys.readouterr().err


@pytest.mark.usefixtures("parts")
def test_a_listing_of_numbers_imports_neither_torch_nor_numpy() -> None:
    code = (
        "import sys\nfrom pluglab.cli import main\n"
        "try:\n    main(['compare', 'one', '--json'])\nexcept SystemExit as end:\n    assert not end.code\n"
        "found = {'torch', 'numpy', 'scipy'} & set(sys.modules)\nassert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Scenarios of a matrix -------------------------------------------------------------------------------

MATRIX = """
title = "mine"
steps = 1
batch_size = 8
trainer = "brightness"
data.source = "toy_images"
data.target = "toy_images"
evaluate = ["graded"]
run.threads = 1
[matrix.scenario]
"A to B" = { data.target.count = 64 }
"A to C" = { data.target.count = 32 }
[matrix.method]
plain = { transforms = [] }
inverted = { transforms = ["invert"] }
"""
GRADED = """
from pluglab import Evaluation

class Graded:
    needs = ()

    def evaluate(self, trainer, data, context):
        images = next(data["target"]["test"].batches())
        value = float(len(images) * (1 if images[0].mean() < 0 else 2))
        return Evaluation({"grade/target": value}, headline=("grade/target",), better={"grade/target": "max"})

def lab_register(registry):
    registry.add("evaluator", "graded", Graded)
"""


def test_a_matrix_is_turned_by_its_own_words(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """And what an evaluator says is better is bold wherever it stands beside others of its scenario."""
    Path("graded.py").write_text(GRADED)
    Path("r.toml").write_text(MATRIX)
    assert lab("run", "r.toml", "--plugin", GENERATORS, "--plugin", "graded.py") == 0
    run = capsys.readouterr().out
    assert run.index("mine, A to B") < run.index("mine, A to C")
    (folder,) = Path("runs/mine").iterdir()
    state = json.loads((folder / "A_to_B_plain-seed0" / "results.json").read_text())
    assert state["evaluations"]["graded"]["better"] == {"grade/target": "max"}
    rows = json.loads((folder / "results.json").read_text())["comparison"]["rows"]
    means = {(row["scenario"], row["method"]): row["scores"]["grade/target"]["mean"] for row in rows}
    assert means[("A to B", "plain")] == 64.0 and means[("A to C", "inverted")] == 64.0
    turned = printed(lab, capsys, folder, "--rows", "scenario", "--columns", "method", "--markdown")
    assert turned == (
        "**grade/target**\n\n| scenario | plain | inverted |\n| --- | --- | --- |\n"
        "| A to B | 64.00 | **128.00** |\n| A to C | 32.00 | **64.00** |\n"
    )
    whole = printed(lab, capsys, folder, "--markdown")
    assert whole == (folder / "results.md").read_text()
    assert whole.startswith("**A to B**\n\n|  | grade/target |\n| --- | --- |\n| plain | 64.00 |\n")
