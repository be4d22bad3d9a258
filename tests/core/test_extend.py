"""`lab extend` and `lab resume --set`: a run goes on under changed options, with everything that it had."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.core.runs import (
    ADAPTATION,
    PLUGIN,
    RECIPE,
    SELECTED,
    events,
    facts,
    folders,
    lab,
    made,
    results,
    saved_steps,
    state,
    store,
    trained,
    write,
)
from tests.core.support import same

EXACT = "bit for bit the run that had these options from the start"
OTHER = "not the run that had these options from the start: "
PARTS = ("trainer", "random", "selector", "step", "identity")
SOON_BROKEN = ("steps=30", "trainer.breaks_at=20", "trainer.optimizer.lr=0.2")


def extended(run: Path, *sets: str, code: int = 0) -> Path:
    return made("extend", run, *(word for one in sets for word in ("--set", one)), code=code)


def scores(run: Path) -> dict[str, Any]:
    """What results.json says, but for the seconds that it took."""
    found = results(run)
    return {key: value for key, value in found.items() if key not in ("seconds", "steps")}


def curve(run: Path) -> list[tuple[int, dict[str, float]]]:
    """What was logged and evaluated under way, but for the speed, by the step."""
    shown = [event for event in events(run) if "scalars" in event and not event.get("afterwards")]
    return [
        (event["step"], {key: value for key, value in event["scalars"].items() if "speed" not in key})
        for event in shown
    ]


@pytest.mark.parametrize("how", ["extend", "resume"])
@pytest.mark.parametrize("recipe", [RECIPE, SELECTED], ids=["plain", "selected"])
def test_a_longer_run_is_bit_for_bit_the_one_that_was_longer_from_the_start(
    recipe: str, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights, averages, optimizer and random numbers; and what it reports: picked, measured, drawn."""
    whole = trained("steps=24", recipe=recipe)
    run = trained(recipe=recipe)
    capsys.readouterr()
    if how == "extend":
        run = extended(run, "steps=24")
        assert "start" in facts(run)
        assert facts(run)["parent"]["exact"]
    else:
        assert lab("resume", run, "--set", "steps=24") == 0
    assert EXACT in capsys.readouterr().err
    one, other = state(run), state(whole)
    assert [part for part in PARTS if not same(one[part], other[part])] == []
    assert facts(run)["identity"] == facts(whole)["identity"]
    assert scores(run) == scores(whole)
    assert curve(run) == curve(whole)


def test_it_goes_on_from_any_kept_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    whole = trained("steps=24")
    run = trained("run.keep_every=6")
    child = made("extend", run, "--step", 6, "--set", "steps=24")
    assert facts(child)["parent"]["step"] == 6
    assert same(state(child)["trainer"], state(whole)["trainer"])
    assert curve(child) == curve(whole)
    capsys.readouterr()
    assert lab("extend", run, "--step", 5, "--set", "steps=24") == 2
    assert "no whole checkpoint of step 5; there are: 6, 8, 12" in capsys.readouterr().err


def test_it_records_its_parent_and_leaves_it_alone() -> None:
    run = trained()
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    child = extended(run, "steps=16")
    parent = facts(child)["parent"]
    assert parent["run"] == str(run.resolve())
    assert (parent["identity"], parent["step"], parent["reasons"]) == (facts(run)["identity"], 12, [])
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert "extended from step 12" in (child / "recipe.toml").read_text().splitlines()[0]


@pytest.mark.parametrize(
    ("before", "sets", "reason"),
    [
        ("trainer.schedule=one_cycle", ["steps=24"], "trainer.schedule follows the share"),
        ("trainer.asks_length=true", ["steps=24"], "trainer 'learner' asks how long the training is"),
        ("title=r", ["steps=24", "trainer.optimizer.lr=0.001"], "trainer.optimizer.lr has its new value"),
        ("title=r", ["steps=24", "trainer.optimizer=sgd"], "trainer.optimizer.name has its new value"),
        ("title=r", ["steps=24", "batch_size=4"], "batch_size has its new value"),
        ("title=r", ["steps=24", "seeds=[1]"], "seeds has its new value"),
    ],
)
def test_it_says_where_it_is_not_the_run_from_the_start(
    before: str, sets: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(before)
    capsys.readouterr()
    child = extended(run, *sets)
    told = capsys.readouterr().err
    assert OTHER + reason in told
    assert EXACT not in told
    assert told.count(OTHER) == 1
    assert facts(child)["parent"]["reasons"][0].startswith(reason)
    whole = trained(before, *sets)
    assert not same(state(child)["trainer"], state(whole)["trainer"])
    assert facts(child)["identity"] != facts(whole)["identity"]


@pytest.mark.parametrize("change", ["checkpoint_every=5", "log_every=2", "evaluate=[]", "run.keep_every=2"])
def test_what_does_not_train_makes_no_other_run(change: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained()
    child = extended(run, "steps=16", change)
    assert EXACT in capsys.readouterr().err
    assert facts(child)["identity"] == facts(trained("steps=16"))["identity"]


def test_changed_transforms_make_another_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    plugin = tmp_path / "brighter.py"
    plugin.write_text(
        "class Brighter:\n    random = False\n    def __call__(self, images, generator):\n"
        "        return images + 1\n\n"
        "def lab_register(registry):\n    registry.add('transform', 'brighter', Brighter)\n"
    )
    run = trained()
    change = ["--set", "data.train.transforms=['brighter']", "--plugin", plugin]
    assert lab("extend", run, "--set", "steps=16", *change) == 0
    assert OTHER + "data.train.transforms" in capsys.readouterr().err


def test_a_changed_rate_counts_from_there_on() -> None:
    """Of all settings that the optimizer had, only what was changed is other."""
    run = trained("trainer.optimizer.weight_decay=0.5")
    child = extended(run, "steps=13", "trainer.optimizer.lr=0.001")
    (old,) = state(run)["trainer"]["optimizer"]["param_groups"]
    (new,) = state(child)["trainer"]["optimizer"]["param_groups"]
    assert (old["lr"], new["lr"]) == (0.01, 0.001)
    assert new["weight_decay"] == old["weight_decay"] == 0.5
    steps = [one["step"] for one in state(child)["trainer"]["optimizer"]["state"].values()]
    assert set(map(float, steps)) == {13.0}


@pytest.mark.parametrize("command", ["extend", "resume"])
def test_a_changed_architecture_is_refused_in_words_and_nothing_is_written(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained()
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != ".lock"}
    assert lab(command, run, "--set", "steps=24", "--set", "trainer.width=6") == 2
    told = capsys.readouterr().err
    assert "body.1.weight was 4 x 16, and is 6 x 16" in told
    assert "--init" in told
    after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != ".lock"}
    assert after == before
    assert folders() == {run}
    assert lab("resume", run) == 0
    assert lab("evaluate", run) == 0


def test_where_nothing_is_left_to_train_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    run = trained()
    for words, told in [
        ([], "nothing is to be changed"),
        (["--set", "steps=12"], "is at step 12, and the training has 12"),
        (["--set", "trainer.optimizer.lr=0.001"], "--set steps=24"),
        (["--set", "steps=16", "--set", "init='else'"], "`init` counts at step 0"),
    ]:
        assert lab("extend", run, *words) == 2
        assert told in capsys.readouterr().err
    assert folders() == {run}


def test_an_experiment_is_extended_as_a_whole(capsys: pytest.CaptureFixture[str]) -> None:
    text = RECIPE.replace("batch_size", "seeds = [0, 1]\nbatch_size")
    variants = "[variants.narrow.trainer]\nwidth = 2\n[variants.wide.trainer]\nwidth = 5\n"
    experiment = made("run", write(text + variants))
    child = extended(experiment, "steps=16")
    assert capsys.readouterr().err.count(EXACT) == 4
    whole = made("run", "r.toml", "--set", "steps=16")
    names = ["narrow-seed0", "narrow-seed1", "wide-seed0", "wide-seed1"]
    assert sorted(path.name for path in child.glob("*seed*")) == names
    for name in names:
        assert same(state(child / name)["trainer"], state(whole / name)["trainer"])
        assert facts(child / name)["identity"] == facts(whole / name)["identity"]
    assert results(child)["table"] == results(whole)["table"]
    assert lab("resume", experiment, "--set", "steps=16") == 0
    assert results(experiment)["table"] == results(whole)["table"]
    assert "steps = 16" in (experiment / "recipe.toml").read_text()


def test_the_parent_may_be_gone(capsys: pytest.CaptureFixture[str]) -> None:
    """The extension fails at step 20, and goes on to its end without its parent."""
    run = trained("run.keep_every=4")
    child = extended(run, *SOON_BROKEN, code=1)
    shutil.rmtree(run)
    assert lab("resume", child, "--set", "trainer.optimizer.lr=0.01") == 0
    assert facts(child)["status"] == "finished"
    assert facts(child)["parent"]["step"] == 12
    assert lab("evaluate", child) == 0
    assert lab("extend", child, "--set", "steps=40") == 0


def test_an_interrupted_extension_goes_on_bit_for_bit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = trained("steps=24")
    run = trained()
    plugin = tmp_path / "ends.py"
    plugin.write_text(
        "import os, signal\n"
        "def lab_step_logged(run, step, scalars):\n"
        "    if os.environ.get('ENDS') and step == 18:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    monkeypatch.setenv("ENDS", "yes")
    child = made("extend", run, "--set", "steps=24", "--plugin", plugin, code=143)
    assert facts(child)["status"] == "interrupted"
    assert saved_steps(child)[-1] < 24
    monkeypatch.delenv("ENDS")
    assert lab("resume", child) == 0
    assert same(state(child)["trainer"], state(whole)["trainer"])
    assert curve(child) == curve(whole)


def test_what_a_run_began_with_stays_in_the_identity_of_its_extension() -> None:
    """A run from other weights, or one that went on at another rate, is not the one from scratch."""
    first = trained()
    tuned = made("run", "r.toml", "--init", first)
    whole = made("run", "r.toml", "--init", first, "--set", "steps=16")
    assert facts(extended(tuned, "steps=16"))["identity"] == facts(whole)["identity"]
    assert facts(whole)["identity"] != facts(trained("steps=16"))["identity"]
    slower = extended(first, "steps=16", "trainer.optimizer.lr=0.001")
    longer = extended(slower, "steps=20")
    assert (
        facts(longer)["start"] == facts(slower)["start"] == {"parent": facts(first)["identity"], "step": 12}
    )
    scratch = trained("steps=20", "trainer.optimizer.lr=0.001")
    assert facts(longer)["identity"] != facts(scratch)["identity"]


def test_an_extension_reports_a_step_that_its_parent_has_picked() -> None:
    """The picked checkpoint comes with it; where it is gone, the last step is reported, and called so."""
    run = trained("run.keep_every=2", recipe=SELECTED)
    child = extended(run, "steps=16")
    assert results(child)["step"] == results(child)["selected_by"]["step"] == 2
    assert results(child)["scalars"] == results(run)["scalars"]
    for file in (run / "checkpoints").glob("step_00000002*"):
        file.unlink()
    child = extended(run, "steps=16")
    assert results(child)["step"] == results(child)["selected_by"]["step"] == 16
    told = [event["message"] for event in events(child, "health")]
    assert told == ["the checkpoint of step 2 is gone, so the last step is reported"]


def test_pictures_of_the_way_come_along() -> None:
    run = trained("evaluate=[{ name = 'hits', every = 4 }]")
    child = extended(run, "steps=16")
    figures = [event["figures"]["bar"]["file"] for event in events(child, "evaluation")]
    assert figures[:3] == [f"figures/step_{step:08d}/hits_bar.png" for step in (4, 8, 12)]
    assert all((child / file).is_file() for file in figures)


# In the same folder ----------------------------------------------------------------------------------


def test_the_command_that_an_infinite_loss_names_works_as_it_is_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = trained(*SOON_BROKEN, code=1)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "at a lower rate" in line]
    words = shlex.split(line.partition(": lab ")[2])
    assert words == ["resume", str(run), "--plugin", str(PLUGIN), "--set", "trainer.optimizer.lr=0.02"]
    assert lab(*words, plugin=False) == 0
    assert (facts(run)["status"], results(run)["step"]) == ("finished", 30)
    (change,) = facts(run)["changes"]
    assert change["step"] == 20
    assert change["set"] == ["trainer.optimizer.lr=0.02"]
    assert change["reasons"] == ["trainer.optimizer.lr has its new value from step 20 on"]
    assert change["identity"] != facts(run)["identity"]
    assert lab("resume", run) == 0


def test_the_command_is_right_before_the_first_checkpoint_too(capsys: pytest.CaptureFixture[str]) -> None:
    sets = ("trainer.breaks_at=2", "trainer.optimizer.lr=0.2", "log_every=1")
    run = trained(*sets, code=1)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "at a lower rate" in line]
    assert "go on from the start" in line
    assert lab(*shlex.split(line.partition(": lab ")[2]), plugin=False) == 0
    whole = trained("trainer.breaks_at=2", "trainer.optimizer.lr=0.02", "log_every=1")
    assert same(state(run)["trainer"], state(whole)["trainer"])
    assert facts(run)["identity"] == facts(whole)["identity"]


def test_history_and_tensorboard_hold_every_step_once() -> None:
    """The steps between the checkpoint and the loss that was infinite are done again."""
    run = trained(*SOON_BROKEN, "trainer.breaks_at=22", "log_every=1", code=1)
    assert [event["step"] for event in events(run, "step")][-1] == 22
    assert lab("resume", run, "--set", "trainer.optimizer.lr=0.02") == 0
    for kind in ("step", "evaluation"):
        steps = [(event["step"], event.get("name")) for event in events(run, kind)]
        assert len(set(steps)) == len(steps)
    assert [event["step"] for event in events(run, "step")] == list(range(1, 31))
    board = EventAccumulator(str(run / "tensorboard"))
    board.Reload()
    assert [event.step for event in board.Scalars("training/loss")] == list(range(1, 31))


def test_checkpoints_from_before_a_change_are_of_use() -> None:
    run = trained("run.keep_every=4")
    assert lab("resume", run, "--set", "steps=20", "--set", "trainer.optimizer.lr=0.001") == 0
    assert saved_steps(run) == [4, 8, 12, 16, 20]
    assert lab("evaluate", run, "--step", "all") == 0
    assert lab("extend", run, "--step", 8, "--set", "steps=24") == 0
    assert lab("run", "r.toml", "--init", f"{run}@4") == 0


def test_a_run_that_was_stopped_by_a_crash_while_it_was_changed_goes_on() -> None:
    """Between the new checkpoint and the new run.json: the old one counts."""
    from pluglab.storage.run_folder import RunFolder

    run = trained(*SOON_BROKEN, code=1)
    recipe = (run / "recipe.toml").read_text(), (run / "run.json").read_text()
    assert lab("resume", run, "--set", "trainer.optimizer.lr=0.02", "--set", "steps=21") == 0
    for file in (run / "checkpoints").glob("step_00000021*"):
        file.unlink()
    (run / "recipe.toml").write_text(recipe[0])
    (run / "run.json").write_text(recipe[1])
    assert lab("resume", run) == 1, "it fails as it did"
    assert RunFolder(run).read()["status"] == "failed"
    assert lab("resume", run, "--set", "trainer.optimizer.lr=0.02") == 0
    assert results(run)["step"] == 30


def test_what_is_changed_stays_changed() -> None:
    """Also what the training does not depend on; and what launches a session is the session's."""
    run = trained(*SOON_BROKEN, code=1)
    assert lab("resume", run, "--set", "evaluate=['told']", "--jobs", 1) == 1
    (change,) = facts(run)["changes"]
    assert (change["step"], change["identity"]) == (20, facts(run)["identity"])
    assert '"told"' in (run / "recipe.toml").read_text()
    assert lab("resume", run) == 1
    assert len(facts(run)["changes"]) == 1
    assert lab("resume", run, "--set", "trainer.optimizer.lr=0.01") == 0
    assert list(results(run)["evaluations"]) == ["told"]


def test_runs_in_processes_of_their_own_are_told_what_the_session_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The data lie elsewhere, and only this session knows where. The words of the process are run here."""
    from pluglab.experiments.execute import RunJob
    from pluglab.launchers.processes import Processes

    def launch(self: Processes, jobs: list[RunJob], say: object) -> dict[str, Exception]:
        told = [job.command() for job in jobs]
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path / "away")
            assert [lab(*words, plugin=False) for words in told] == [0, 0]
        return {}

    store("data/a.npz")
    text = RECIPE.replace('data.train = "drawn"', 'data.train = { name = "stored", path = "data/a.npz" }')
    experiment = made("run", write(text.replace("batch_size", "seeds = [0, 1]\nbatch_size")))
    Path("data").rename("moved")
    (tmp_path / "away").mkdir()
    monkeypatch.setattr(Processes, "launch", launch)
    place = f"data.train.path={tmp_path / 'moved/a.npz'}"
    assert lab("resume", experiment, "--set", "steps=16", "--set", place, "--jobs", "2") == 0
    assert [results(experiment / name)["step"] for name in ("seed0", "seed1")] == [16, 16]
    Path("disk").mkdir()
    Path("moved").rename("disk/data")
    words = ["--set", "steps=20", "--data-root", "disk", "--set", "data.train.path=data/a.npz", "--jobs", "2"]
    assert lab("resume", experiment, *words) == 0
    assert [results(experiment / name)["step"] for name in ("seed0", "seed1")] == [20, 20]
    assert "processes" not in (experiment / "seed0/recipe.toml").read_text()


def test_one_of_several_runs_goes_on_at_a_lower_rate() -> None:
    """The others have come to their ends: the change has nothing to say to them."""
    text = RECIPE + "[variants.good]\n[variants.bad.trainer]\nbreaks_at = 9\noptimizer.lr = 0.2\n"
    experiment = made("run", write(text), code=1)
    assert lab("resume", experiment, "--set", "trainer.optimizer.lr=0.02") == 0
    assert facts(experiment / "bad-seed0")["status"] == "finished"
    assert "changes" not in facts(experiment / "good-seed0")


def test_an_extension_of_an_adaptation_hides_what_its_parent_hid() -> None:
    recipe = ADAPTATION.replace("[run]", "evaluate = [{ name = 'told', every = 2 }]\n[run]")
    child = extended(trained(recipe=recipe), "steps=12", "select={ metric = 'hits/source' }")
    assert results(child)["tainted"] == ["hits/target"]
    assert results(child)["selected_by"]["oracle"] is False
