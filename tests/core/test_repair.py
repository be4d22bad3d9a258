"""`lab repair`: a run whose files are damaged is made whole from the others, and is the run that it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pluglab.storage.run_folder import ExperimentFolder, RunFolder
from tests.core.support import RECIPE, Lab, lab_process, last_state, only_run, same

EXPERIMENT = RECIPE + "\n[variants.a]\n[variants.b.trainer]\nwidth = 4\n"


@pytest.fixture
def killed(lab: Lab, recipe: Path, tmp_path: Path) -> Path:
    """A run that was killed after its step 20, beside the whole one in `whole`."""
    assert lab("run", recipe, "--run-dir", tmp_path / "whole") == 0
    lab_process("run", recipe, TOY_END="KILL:25")
    return only_run()


@pytest.fixture
def whole(killed: Path, tmp_path: Path) -> Path:
    return only_run(tmp_path / "whole")


@pytest.mark.parametrize("name", ["run.json", "recipe.toml", "both"])
@pytest.mark.parametrize("damage", ["{", "\0\0\0", None])
def test_a_run_goes_on_bit_for_bit_after_its_repair(
    name: str,
    damage: str | None,
    killed: Path,
    whole: Path,
    lab: Lab,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = RunFolder(killed).read()
    for file in [killed / one for one in ("run.json", "recipe.toml") if name in (one, "both")]:
        file.write_text(damage) if damage else file.unlink()
    assert lab("resume", killed) == 2
    if damage and name == "run.json":
        assert f"= make it whole from the other files: lab repair {killed}\n" in capsys.readouterr().err
    assert lab("repair", killed) == 0
    assert "made anew from" in capsys.readouterr().out
    after = RunFolder(killed).read()
    assert {key: after[key] for key in ("identity", "settings", "training", "data")} == {
        key: before[key] for key in ("identity", "settings", "training", "data")
    }
    assert lab("resume", killed) == 0
    assert same(last_state(killed)["trainer"], last_state(whole)["trainer"])
    assert lab("repair", killed) == 0
    assert capsys.readouterr().out.endswith("there is nothing to repair\n")


def test_results_that_cannot_be_read_are_found_again(
    whole: Path, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    before = json.loads((whole / "results.json").read_text())
    (whole / "results.json").write_text("[")
    (whole / "tags.json").write_text("[")
    with (whole / "metrics.jsonl").open("a") as file:
        file.write("{]\n")
    assert lab("repair", whole) == 0
    assert capsys.readouterr().out.splitlines() == [
        "results.json: set aside as results.json.damaged",
        "tags.json: set aside as tags.json.damaged",
        "run.json: not finished any more, as there are no results",
        "metrics.jsonl: 1 damaged line left out",
    ]
    assert lab("resume", whole) == 0
    after = json.loads((whole / "results.json").read_text())
    assert after["scalars"] == before["scalars"] and after["step"] == 40


def test_an_experiment_has_its_runs_again(lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe.write_text(EXPERIMENT)
    assert lab("run", recipe) == 0
    folder = only_run()
    (folder / "experiment.json").write_text("{}")
    (folder / "a-seed0" / "run.json").write_text("")
    assert lab("compare", folder, toys=False) == 0 and "b" in capsys.readouterr().out
    assert lab("repair", folder) == 0
    said = capsys.readouterr().out
    assert "a-seed0: run.json: made anew from the recipe and its data; finished\n" in said
    assert [run.path.name for run in ExperimentFolder(folder).runs()] == ["a-seed0", "b-seed0"]
    assert lab("resume", folder) == 0


def test_what_is_not_the_run_is_not_taken_for_it(
    killed: Path, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    (killed / "run.json").unlink()
    text = (killed / "recipe.toml").read_text()
    (killed / "recipe.toml").write_text(text.replace("width = 8", "width = 9"))
    assert lab("repair", killed) == 2
    assert "is of another recipe" in capsys.readouterr().err and not (killed / "run.json").exists()
    shutil.rmtree(killed / "checkpoints")
    (killed / "recipe.toml").unlink()
    assert lab("repair", killed) == 2
    assert "no checkpoint holds it" in capsys.readouterr().err
    Path("empty").mkdir()
    assert lab("repair", "empty") == 2
    assert "neither a recipe nor checkpoints" in capsys.readouterr().err
