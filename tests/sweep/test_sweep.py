"""`lab sweep`: what it tries, what it finds, and that each trial is an ordinary run."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from pluglab.records import read_records
from tests.sweep.conftest import GRID, Lab, only_sweep, summary
from tests.sweep.hill_plugin import height

Write = Callable[[str], Path]


def values_of(folder: Path) -> dict[tuple[object, ...], float]:
    """The score of each trial by its parameters."""
    trials = summary(folder)["trials"]
    return {tuple(one["params"].values()): one["values"][0] for one in trials}


def test_a_grid_tries_all_and_finds_the_top(
    lab: Lab, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab("sweep", write(GRID)) == 0
    folder, said = only_sweep(), capsys.readouterr()
    found = values_of(folder)
    wanted = {(x, kind): height(x, kind) for x, kind in product((1.0, 2.0, 3.0, 4.0), ("low", "high"))}
    assert found == pytest.approx(wanted)
    (best,) = summary(folder)["best"]
    assert summary(folder)["trials"][best]["params"] == {"trainer.x": 3.0, "trainer.kind": "high"}
    assert f"best:    trial {best}, lab run {folder}/trial_{best}-seed0/recipe.toml repeats it" in said.out
    assert "8 trials: 8 finished" in said.out
    # x makes 6 of the variance's 7 parts: that of (x - 3)^2 in {4, 1, 0, 1} is 2.25, that of {0, 2} is 1.
    (shares,) = summary(folder)["importance"]
    assert shares["trainer.x"] == pytest.approx(2.25 / 3.25, abs=0.2)


def test_each_trial_is_an_ordinary_run(lab: Lab, write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("sweep", write(GRID), "--set", "sweep.trials=2") == 0
    folder = only_sweep()
    records = read_records([folder], print)
    assert [record.variant for record in records] == ["trial 0", "trial 1"]
    assert {record.status for record in records} == {"finished"}
    first = records[0]
    params = summary(folder)["trials"][0]["params"]
    assert {key: first.options[key] for key in params} == params
    assert first.axes == {"trainer.x": f"{params['trainer.x']:.4g}", "trainer.kind": params["trainer.kind"]}
    assert lab("compare", folder, "--rows", "trainer.kind", hill=False) == 0
    assert lab("list", "runs", hill=False) == 0
    assert lab("resume", folder) == 0 and "trial 1, seed 0: finished" in capsys.readouterr().err
    # It can be repeated by itself, and is then no trial of the sweep.
    assert lab("run", first.path / "recipe.toml", "--run-dir", "again") == 0
    (again,) = read_records([Path("again")], print)
    assert again.scalars == first.scalars and again.state["identity"] == first.state["identity"]
    assert len(summary(folder)["trials"]) == 2
    # `lab run` on the recipe of a sweep trains it once, without one.
    assert lab("run", "hill.toml", "--run-dir", "once") == 0
    assert read_records([Path("once")], print)[0].options["trainer.x"] == 0.0


def test_the_folder_holds_tables_and_pictures(lab: Lab, write: Write) -> None:
    assert lab("sweep", write(GRID)) == 0
    folder = only_sweep()
    drawn = {path.name for path in (folder / "figures").iterdir()}
    assert drawn == {"sweep_history.png", "sweep_importance.png", "sweep_parameters.png"}
    assert "trial 7" in (folder / "results.md").read_text()
    assert lab("report", folder) == 0
    page = (folder / "report" / "report.html").read_text()
    assert "8 trials: 8 finished; sampler grid." in page and "The best trials" in page


def test_several_objectives_leave_a_front(lab: Lab, write: Write) -> None:
    text = GRID.replace(
        '[{ metric = "height" }]', '[{ metric = "height" }, { metric = "far", mode = "min" }]'
    )
    assert lab("sweep", write(text)) == 0
    folder = only_sweep()
    found = summary(folder)
    best = {tuple(found["trials"][number]["params"].values()) for number in found["best"]}
    # Beyond the top it is lower and farther; of each x the high hill is better.
    assert best == {(1.0, "high"), (2.0, "high"), (3.0, "high")}
    assert (folder / "figures" / "sweep_front.png").is_file()


def test_what_select_names_counts_by_default(lab: Lab, write: Write) -> None:
    text = GRID.replace('objectives = [{ metric = "height" }]', "trials = 1")
    assert lab("sweep", write(f'{text}[select]\nmetric = "far"\nmode = "min"\n')) == 0
    assert summary(only_sweep())["objectives"] == [{"metric": "far", "mode": "min"}]


def test_values_are_the_same_each_time_and_go_on_differently(lab: Lab, write: Write) -> None:
    write(GRID.replace('"grid"', '"random"').replace(", step = 1.0", ""))
    words = "--set", "sweep.trials=3"
    for root in ("one", "two"):
        assert lab("sweep", "hill.toml", *words, "--run-dir", root) == 0
    one, two = only_sweep(Path("one")), only_sweep(Path("two"))
    assert values_of(one) == values_of(two) and len(values_of(one)) == 3
    assert lab("sweep", one, "--set", "sweep.trials=6") == 0
    assert len(values_of(one)) == 6, "the values of the first three are not drawn again"
    assert lab("sweep", "hill.toml", *words, "--set", "sweep.seed=1", "--run-dir", "three") == 0
    assert not set(values_of(only_sweep(Path("three")))) & set(values_of(one))


def test_a_trial_of_several_seeds_is_their_mean(lab: Lab, write: Write) -> None:
    text = GRID.replace("[sweep]", "[sweep]\ntrials = 1")
    assert lab("sweep", write(text), "--set", "seeds=[0, 1]") == 0
    folder = only_sweep()
    assert [path.name for path in sorted(folder.glob("trial*"))] == ["trial_0-seed0", "trial_0-seed1"]
    (value,) = values_of(folder).values()
    assert value == pytest.approx(height(*next(iter(values_of(folder)))))


def test_values_may_be_tables(lab: Lab, write: Write) -> None:
    text = """
[sweep]
sampler = "grid"
objectives = [{ metric = "height" }]
[sweep.parameters]
trainer.choices = { here = { name = "hill", x = 2.5 }, there = { name = "hill", x = 4.5 } }
"""
    assert lab("sweep", write(text)) == 0
    assert values_of(only_sweep()) == pytest.approx(
        {("here",): height(2.5, "low"), ("there",): height(4.5, "low")}
    )


# Pruning -------------------------------------------------------------------------------------------------

PRUNED = GRID.replace('"low", "high"', '"low"').replace(
    "[sweep]\n", '[sweep]\npruner = { name = "threshold", lower = -1.5 }\n'
)


def test_a_pruned_trial_stops_saved_and_says_so(
    lab: Lab, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a share s of the steps the score is s * height: of x = 1 it is -2, at s = 6 / 8, and too low."""
    assert lab("sweep", write(PRUNED)) == 0
    folder, said = only_sweep(), capsys.readouterr()
    found = summary(folder)
    states = {one["params"]["trainer.x"]: (one["state"], one["pruned_at"]) for one in found["trials"]}
    finished = ("finished", None)
    assert states == {1.0: ("pruned", 4), 2.0: finished, 3.0: finished, 4.0: finished}
    (pruned,) = [one for one in found["trials"] if one["state"] == "pruned"]
    assert pruned["looks"] == [[2, -1.0], [4, -2.0]]
    name = f"trial {pruned['number']}"
    assert f"{name}: pruned after step 4" in said.err and "3 finished" in said.out and "1 pruned" in said.out
    run = folder / f"{name.replace(' ', '_')}-seed0"
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    assert json.loads((run / "tags.json").read_text()) == {
        "tags": ["pruned"],
        "note": "pruned by its sweep after step 4",
    }
    # It goes on when it is asked to, without the sweep.
    assert lab("resume", run) == 0
    (record,) = read_records([run], print)
    assert record.status == "finished" and record.scalars["height"] == pytest.approx(-4.0)
    assert (folder / "figures" / "sweep_looks.png").is_file()


def test_the_median_of_earlier_trials_prunes(lab: Lab, write: Write) -> None:
    text = PRUNED.replace(
        '{ name = "threshold", lower = -1.5 }', '{ name = "median", n_startup_trials = 2 }'
    ).replace('"grid"', '{ name = "grid", seed = 3 }')
    assert lab("sweep", write(text)) == 0
    trials = summary(only_sweep())["trials"]
    before: list[float] = []
    for one in trials:
        score = height(one["params"]["trainer.x"], "low") / 4  # after two steps of eight
        behind = len(before) >= 2 and score < statistics.median(before)
        assert one["state"] == ("pruned" if behind else "finished"), one
        before.append(score)
    assert "pruned" in {one["state"] for one in trials}


def test_hidden_labels_prune_and_count_for_nothing(
    lab: Lab, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    peeking = ("--set", "evaluate.0.peeks=true")
    assert lab("sweep", write(GRID), *peeking) == 2
    error = capsys.readouterr().err
    assert (
        "error: 'height' is computed from the labels of 'other', which are hidden\n  --> hill.toml:12\n"
        in error
    )
    assert not Path("runs").exists()
    allowed = "--set", "sweep.allow_hidden_labels=true"
    assert lab("sweep", "hill.toml", *peeking, *allowed, "--set", "sweep.trials=1") == 0


# Faults ----------------------------------------------------------------------------------------------------


def test_a_trial_that_fails_has_its_place_and_the_next_ones_run(
    lab: Lab, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    text = GRID.replace('"trainer.kind" = ["low", "high"]', '"trainer.fails_at" = [3, 99]').replace(
        "1.0, high", "3.0, high"
    )
    assert lab("sweep", write(text)) == 0
    states = {tuple(one["params"].values()): one["state"] for one in summary(only_sweep())["trials"]}
    assert states == {(x, at): "failed" if at == 3 else "finished" for x in (3.0, 4.0) for at in (3, 99)}
    assert "failed: 'loss/share' became NaN or infinite" in capsys.readouterr().err


def test_values_that_do_not_go_together_fail_alone(
    lab: Lab, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    text = GRID.replace('"trainer.x" = { low = 1.0, high = 4.0, step = 1.0 }', '"trainer.even" = [12, 13]')
    assert lab("sweep", write(text)) == 0
    states = {tuple(one["params"].values()): one["state"] for one in summary(only_sweep())["trials"]}
    assert states.pop((13, "high")) == "failed" and set(states.values()) == {"finished"}
    assert "failed: 13 is not for the hill 'high'" in capsys.readouterr().err


def test_a_sweep_in_which_all_fail_has_failed(lab: Lab, write: Write) -> None:
    assert lab("sweep", write(GRID), "--set", "trainer.fails_at=3", "--set", "sweep.trials=2") == 1


SECRET, TABLE = "postgresql://me:secret@host/db", "recipe_table 'sweep'"


@pytest.mark.parametrize(
    ("old", "new", "message", "line"),
    [
        ('"trainer.x"', '"trainer.y"', "unknown option 'y' for trainer 'hill'", 0),
        ('["low", "high"]', '["low", "hihg"]', "option 'kind' of trainer 'hill' is wrong", 0),
        ('metric = "height"', 'metric = "hieght"', "no evaluator reports 'hieght'", 12),
        ('"grid"', '"gird"', "unknown sweep_sampler 'gird'", 11),
        ("low = 1.0", "low = 5.0", f"option 'parameters' of {TABLE} is wrong", 13),
        ("sampler", "trails = 2\nsampler", f"unknown option 'trails' for {TABLE}", 11),
        ("sampler", f"storage = {SECRET!r}\nsampler", f"option 'storage' of {TABLE} is wrong", 11),
        (", step = 1.0", "", "the sampler 'grid' needs values that can be counted", 13),
        ('objectives = [{ metric = "height" }]', "", "the sweep does not say which score counts", 10),
    ],
)
def test_mistakes_are_told_before_anything_is_made(
    lab: Lab, write: Write, capsys: pytest.CaptureFixture[str], old: str, new: str, message: str, line: int
) -> None:
    assert lab("sweep", write(GRID.replace(old, new))) == 2
    error = capsys.readouterr().err
    assert f"error: {message}" in error, error
    assert not line or f"hill.toml:{line}" in error, error
    assert not Path("runs").exists()


def test_a_dry_run_writes_nothing(lab: Lab, write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("sweep", write(GRID), "--dry-run") == 0
    assert "8 trials for height (max); sampler grid" in capsys.readouterr().out
    assert not Path("runs").exists()


def test_of_a_recipe_without_the_table_it_says_what_to_write(
    lab: Lab, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab("sweep", write("")) == 2
    assert "recipe_table 'sweep' needs the option 'parameters'" in capsys.readouterr().err


# Interrupted ----------------------------------------------------------------------------------------------


def test_ctrl_c_saves_and_the_sweep_goes_on(
    lab: Lab, write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(GRID.replace('"low", "high"', '"low"'))
    assert lab("sweep", "hill.toml", "--run-dir", "whole") == 0
    monkeypatch.setenv("HILL_END", "INT:5:2.0")
    assert lab("sweep", "hill.toml") == 130
    folder, error = only_sweep(), capsys.readouterr().err
    assert f"go on with: lab sweep {folder}" in error
    before = summary(folder)["trials"]
    assert [one["state"] for one in before].count("running") == 1 and len(before) < 4
    assert lab("sweep", folder) == 0
    assert "resuming after step 6" in capsys.readouterr().err
    assert values_of(folder) == pytest.approx(values_of(only_sweep(Path("whole"))))
    assert len(list(folder.glob("trial_*"))) == 4
    assert lab("sweep", folder) == 0, "there is nothing left to do"


def test_workers_are_processes_and_one_that_is_killed_goes_on_later(
    lab: Lab, write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(PRUNED)
    monkeypatch.setenv("HILL_END", "KILL:5:2.0")
    assert lab("sweep", "hill.toml", "--workers", "2") == 1
    folder, error = only_sweep(), capsys.readouterr().err
    assert "error: 1 trials have not come to their end" in error
    assert f"go on with: lab sweep {folder}" in error
    states = {one["params"]["trainer.x"]: one["state"] for one in summary(folder)["trials"]}
    assert states == {1.0: "pruned", 2.0: "running", 3.0: "finished", 4.0: "finished"}
    monkeypatch.delenv("HILL_END")
    assert lab("sweep", folder, "--workers", "1") == 0
    found = {one["params"]["trainer.x"]: one["values"] for one in summary(folder)["trials"]}
    assert found == {x: None if x == 1.0 else pytest.approx([height(x, "low")]) for x in found}


def test_a_sweep_is_one_process_s_at_a_time(
    lab: Lab, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    from pluglab.storage.run_folder import RunFolder

    assert lab("sweep", write(GRID), "--set", "sweep.trials=1") == 0
    folder = only_sweep()
    with RunFolder(folder).held():
        assert lab("sweep", folder, "--set", "sweep.trials=2") == 2
    assert f"another process is running {folder}" in capsys.readouterr().err


def test_a_study_is_not_mixed_with_another(
    lab: Lab, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = "--set", f"sweep.storage=sqlite:///{Path.cwd()}/shared.db", "--set", "sweep.trials=2"
    assert lab("sweep", write(GRID), *shared) == 0
    assert lab("sweep", write(GRID.replace("4.0", "5.0")), *shared) == 2
    assert "the study 'hill' has other parameters or objectives" in capsys.readouterr().err
    assert only_sweep().parent.name == "hill", "nothing was made for it"
    # The same sweep from elsewhere joins it: two of four trials are there.
    more = "--set", "sweep.trials=4", "--run-dir", "elsewhere"
    assert lab("sweep", write(GRID), *shared[:2], *more) == 0
    assert len(list(only_sweep(Path("elsewhere")).glob("trial_*"))) == 2
    assert len(summary(only_sweep(Path("elsewhere")))["trials"]) == 4


def test_the_recipe_of_the_folder_repeats_the_sweep(lab: Lab, write: Write) -> None:
    assert lab("sweep", write(GRID), "--set", "sweep.trials=2") == 0
    folder = only_sweep()
    kept = tomllib.loads((folder / "recipe.toml").read_text())
    assert kept["sweep"]["trials"] == 2 and kept["sweep"]["sampler"] == {"name": "grid"}
    assert lab("sweep", folder / "recipe.toml", "--run-dir", "again") == 0
    assert values_of(only_sweep(Path("again"))) == values_of(folder)


def test_nothing_but_a_sweep_imports_optuna() -> None:
    code = (
        "import sys; from pluglab.plugins.loading import load_plugins; p = load_plugins(only='sweep,report');"
        "from pluglab.cli.app import build_app; build_app(p); import pluglab_sweep.section;"
        "print(*({'optuna', 'sqlalchemy', 'torch', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
