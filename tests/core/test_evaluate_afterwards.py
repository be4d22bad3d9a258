"""`lab evaluate`: any evaluator, on any kept checkpoint; what it finds joins the run, and nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.core.runs import (
    ADAPTATION,
    RECIPE,
    SELECTED,
    events,
    facts,
    lab,
    made,
    results,
    saved_steps,
    trained,
    write,
)

TRAIN = '{ name = "hits", split = "train" }'
BROKEN = ("steps=30", "trainer.breaks_at=9", "trainer.optimizer.lr=0.2", "log_every=1")


def labels(found: dict[str, Any]) -> dict[str, Any]:
    """The options of each evaluator, by its label."""
    return {label: one["evaluator"] for label, one in found["evaluations"].items()}


def test_the_evaluators_of_the_recipe_find_again_what_they_found() -> None:
    run = trained()
    before, history = results(run), events(run)
    for _ in range(2):
        assert lab("evaluate", run) == 0
    assert results(run) == before
    new = events(run)[len(history) :]
    assert [(event["name"], event["afterwards"]) for event in new] == 2 * [("hits", True), ("certain", True)]
    assert events(run)[: len(history)] == history


def test_another_evaluator_joins_and_none_is_replaced() -> None:
    run = trained()
    before = results(run)
    assert lab("evaluate", run, "--with", TRAIN) == 0
    after = results(run)
    assert after["scalars"].keys() == {*before["scalars"], "hits_2/hits/train"}
    assert after["headline"] == ["hits/train", "hits_2/hits/train"]
    assert after["protocols"]["hits/train"] != after["protocols"]["hits_2/hits/train"]
    assert {label: after["evaluations"][label] for label in before["evaluations"]} == before["evaluations"]
    assert (run / after["evaluations"]["hits_2"]["figures"]["bar"]["file"]).is_file()
    assert lab("evaluate", run, "--with", TRAIN) == 0
    assert results(run) == after


def test_a_label_that_is_given_is_kept_and_takes_no_other_s_place() -> None:
    run = trained()
    assert lab("evaluate", run, "--with", '{ name = "hits", bonus = 1.0, as = "better" }') == 0
    assert lab("evaluate", run, "--with", '{ name = "hits", bonus = 2.0, as = "better" }') == 0
    assert lab("evaluate", run, "--with", '{ name = "hits", bonus = 3.0, as = "hits" }') == 0
    found = {label: one.get("bonus") for label, one in labels(results(run)).items()}
    assert found == {"hits": 0.0, "certain": None, "better": 1.0, "better_2": 2.0, "hits_2": 3.0}


def test_other_options_of_an_evaluator_replace_nothing_at_any_step() -> None:
    run = trained()
    for scale in (3.0, 4.0):
        with_ = f'{{ name = "certain", scale = {scale} }}'
        assert lab("evaluate", run, "--step", 8, "--with", with_) == 0
    steps = results(run)["steps"]
    assert {label: one["scale"] for label, one in labels(steps["8"]).items()} == {
        "certain_2": 3.0,
        "certain_3": 4.0,
    }


FAILING = """
class Failing:
    needs = ()

    def evaluate(self, trainer, data, context):
        data["train"]["nowhere"]

def lab_register(registry):
    registry.add("evaluator", "failing", Failing)
"""


def test_what_was_found_before_one_that_fails_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    run = trained()
    Path("failing.py").write_text(FAILING)
    words = ["evaluate", run, "--plugin", "failing.py", "--with"]
    assert lab(*words, "told", "--with", "failing") == 1
    assert "there is no split 'nowhere'" in capsys.readouterr().err
    assert results(run)["evaluations"]["told"]["scalars"]
    before = (run / "results.json").read_bytes()
    assert lab(*words, "failing", "--with", "told") == 2
    assert (run / "results.json").read_bytes() == before


def test_every_kept_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    run = trained("run.keep_every=4")
    before = results(run)
    assert lab("evaluate", run, "--step", "all") == 0
    after = results(run)
    assert {step: list(labels(found)) for step, found in after.pop("steps").items()} == {
        "4": ["hits", "certain"],
        "8": ["hits", "certain"],
    }
    assert after == before
    during = {event["step"]: event["scalars"]["certain"] for event in events(run, "evaluation")[:2]}
    again = results(run)["steps"]
    assert {int(step): found["scalars"]["certain"] for step, found in again.items()} == during
    capsys.readouterr()
    assert lab("evaluate", run, "--step", "5") == 2
    assert "no whole checkpoint of step 5; there are: 4, 8, 12" in capsys.readouterr().err
    assert lab("evaluate", run, "--step", "last") == 2


def test_set_changes_what_with_names() -> None:
    run = trained("evaluate=[]")
    assert lab("evaluate", run, "--with", "certain", "--set", "evaluate.0.scale=9.0") == 0
    assert labels(results(run)) == {"certain": {"name": "certain", "scale": 9.0}}


def test_set_changes_an_evaluator_of_the_recipe() -> None:
    run = trained()
    assert lab("evaluate", run, "--set", "evaluate.1.scale=9.0") == 0
    found = results(run)["scalars"]
    assert found["certain_2/certain"] == pytest.approx(9 * found["certain"])


def test_evaluators_of_a_recipe_that_has_nothing_else() -> None:
    run = trained()
    write('[[evaluate]]\nname = "hits"\nbonus = 5.0\n', "scores.toml")
    assert lab("evaluate", run, "--recipe", "scores.toml") == 0
    assert results(run)["scalars"]["hits_2/hits/train"] == results(run)["scalars"]["hits/train"] + 5


def test_evaluators_of_a_recipe_are_told_by_their_lines(capsys: pytest.CaptureFixture[str]) -> None:
    run = trained()
    write('# scores\n\n\n[[evaluate]]\nname = "hits"\nbnus = 5.0\n', "scores.toml")
    assert lab("evaluate", run, "--recipe", "scores.toml") == 2
    assert "--> scores.toml:6" in capsys.readouterr().err
    write("steps = 3\n", "nothing.toml")
    assert lab("evaluate", run, "--recipe", "nothing.toml") == 2
    assert "nothing.toml has no evaluators" in capsys.readouterr().err
    assert lab("evaluate", run, "--recipe", "scores.toml", "--with", "hits") == 2


def test_options_of_the_training_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    run = trained()
    for change in ("trainer.noise=1.0", "steps=20"):
        assert lab("evaluate", run, "--set", change) == 2
        key = change.partition("=")[0]
        assert f"error: the run was trained with another {key}" in capsys.readouterr().err
    assert facts(run)["status"] == "finished"


def test_an_interrupted_run_is_evaluated_and_goes_on_with_what_was_found() -> None:
    run = trained(*BROKEN, code=1)
    assert lab("evaluate", run, "--with", TRAIN) == 0
    found = results(run)
    assert list(found) == ["steps"]
    assert lab("resume", run, "--set", "trainer.optimizer.lr=0.01") == 0
    after = results(run)
    assert after["step"] == 30
    assert after["steps"] == found["steps"]
    assert [e["step"] for e in events(run, "evaluation") if e.get("afterwards")] == [8]
    assert [e["step"] for e in events(run, "evaluation") if e["name"] == "certain"][:3] == [4, 8, 12]


def test_a_failed_run_has_its_newest_checkpoint_evaluated(capsys: pytest.CaptureFixture[str]) -> None:
    run = trained(*BROKEN, code=1)
    assert facts(run)["status"] == "failed"
    assert lab("evaluate", run) == 0
    assert "step 8  hits" in capsys.readouterr().err
    assert facts(run)["status"] == "failed"


def test_a_run_that_went_on_from_its_end_keeps_what_was_reported_of_it() -> None:
    """Its pictures too; those of the old end do not pass for those of the new one."""
    run = trained()
    assert lab("evaluate", run, "--with", TRAIN) == 0
    before = results(run)
    assert lab("resume", run, "--set", "steps=16") == 0
    after = results(run)
    assert after["step"] == 16
    old = after["steps"]["12"]
    assert old["scalars"] == before["scalars"]
    assert labels(old) == labels(before)
    files = [one["figures"]["bar"]["file"] for one in old["evaluations"].values() if one["figures"]]
    assert len(files) == 2
    assert all((run / file).is_file() for file in files)
    assert {path.name for path in (run / "figures").glob("*.png")} == {"hits_bar.png"}
    told = [e for e in events(run, "evaluation") if e["step"] == 12 and e.get("afterwards")]
    assert {event["name"] for event in told} == {"hits", "hits_2", "certain"}
    assert all((run / figure["file"]).is_file() for e in told for figure in e["figures"].values())


def test_a_selected_end_is_set_aside_as_well() -> None:
    run = trained(recipe=SELECTED)
    before = results(run)
    assert (before["step"], before["last"]["step"]) == (2, 12)
    assert lab("resume", run, "--set", "steps=16") == 0
    after = results(run)
    assert after["step"] == 2
    assert after["steps"]["2"]["scalars"] == before["scalars"]
    assert after["steps"]["12"]["scalars"] == before["last"]["scalars"]
    figures = [one["evaluations"]["hits"]["figures"]["bar"]["file"] for one in after["steps"].values()]
    assert all((run / file).is_file() for file in figures)
    assert lab("evaluate", run) == 0, "the selected checkpoint was saved before the change"
    assert lab("evaluate", run, "--step", "all") == 0


def test_an_experiment_is_evaluated_as_a_whole(capsys: pytest.CaptureFixture[str]) -> None:
    text = RECIPE.replace("batch_size", "seeds = [0, 1]\nbatch_size")
    experiment = made("run", write(text + "[variants.narrow.trainer]\nwidth = 2\n[variants.wide]\n"))
    assert lab("evaluate", experiment, "--with", TRAIN) == 0
    told = capsys.readouterr().out
    for name in ("narrow-seed0", "narrow-seed1", "wide-seed0", "wide-seed1"):
        assert f"{name} " in told
        assert "hits_2/hits/train" in results(experiment / name)["scalars"]
    assert "| hits_2/hits/train |" in (experiment / "results.md").read_text()
    assert results(experiment)["table"]["columns"] == ["", "hits/train", "hits_2/hits/train"]
    assert lab("compare", experiment, plugin=False) == 0
    rows = [line.split()[0] for line in capsys.readouterr().out.splitlines() if "±" in line]
    assert rows == ["narrow", "wide"]


def test_scores_of_hidden_labels_stay_marked() -> None:
    run = trained(recipe=ADAPTATION)
    assert lab("evaluate", run, "--with", "told", "--with", "certain") == 0
    assert results(run)["tainted"] == ["hits/target"]
    assert results(run)["evaluations"]["told"]["hidden_labels"] == ["target"]


def test_a_running_run_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    from pluglab.storage.run_folder import RunFolder

    run = trained()
    with RunFolder(run).held():
        assert lab("evaluate", run) == 2
    assert "another process is running" in capsys.readouterr().err


def test_a_damaged_checkpoint_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    run = trained()
    assert saved_steps(run) == [8, 12]
    (file,) = (run / "checkpoints").glob("step_00000012*")
    Path(file).write_bytes(file.read_bytes()[:-1])
    assert lab("evaluate", run) == 2
    assert "has no whole checkpoint of step 12" in (told := capsys.readouterr().err)
    assert "is damaged" in told
