"""Labels that are hidden from a trainer pick none of its checkpoints, by whatever way they come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pluglab
from pluglab.engine import selection
from tests.core.runs import ADAPTATION, PLUGIN, events, facts, folders, lab, made, results, write

HIDDEN = "is computed from the labels of 'target', which are hidden"


@pytest.fixture(autouse=True)
def _fresh_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What evaluators of other tests have read is no matter of these."""
    monkeypatch.setattr(selection, "_read_before", {})


def recipe(evaluators: str, metric: str = "", more: str = "") -> Path:
    """A recipe with these evaluators, every two steps, which selects by the metric."""
    listed = ", ".join(f"{{ every = 2, {one.strip()} }}" for one in evaluators.split(";"))
    select = f"select = {{ metric = '{metric}'{more} }}\n" if metric else ""
    return write(ADAPTATION.replace("[run]", f"evaluate = [{listed}]\n{select}[run]"))


def looks(run: Path, name: str) -> list[dict[str, Any]]:
    return [event for event in events(run, "evaluation") if event["name"] == name]


@pytest.mark.parametrize(
    ("evaluators", "metric"),
    [
        ("name = 'hits'", "hits/target"),
        ("name = 'hits'", "hits/source"),  # nobody promises that it reads the source's labels alone
        ("name = 'keeper'", "kept"),
        ("name = 'rememberer'", "remembered"),
        ("name = 'sworn'", "sworn"),
    ],
)
def test_a_score_of_hidden_labels_picks_no_checkpoint(
    evaluators: str, metric: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab("run", recipe(evaluators, metric)) == 1
    assert f"'{metric}' {HIDDEN}" in (told := capsys.readouterr().err)
    assert "--> r.toml:" in told


def test_a_promise_is_held_against_it_before_the_training(capsys: pytest.CaptureFixture[str]) -> None:
    for dry in ([], ["--dry-run"]):
        assert lab("run", recipe("name = 'told'", "hits/target"), *dry) == 2
        assert f"'hits/target' {HIDDEN}" in capsys.readouterr().err
    assert folders() == set()


def test_a_promise_lets_the_source_pick() -> None:
    run = made("run", recipe("name = 'told'", "hits/source"))
    assert results(run)["selected_by"]["oracle"] is False
    assert results(run)["tainted"] == ["hits/target"]
    assert facts(run)["protocol"]["labels_hidden"] == ["target"]


@pytest.mark.parametrize("source", ["name = 'told'", "name = 'tabled'", "name = 'tabled', promises = true"])
def test_history_shows_nothing_of_hidden_labels_to_others(source: str) -> None:
    """Neither scores nor tables; they are in metrics.jsonl all the same."""
    run = made("run", recipe(f"{source}; name = 'seer'", "seen"))
    assert {event["scalars"]["seen"] for event in looks(run, "seer")} == {0.0}
    first = next(event for event in events(run, "evaluation") if event["name"] != "seer")
    assert first["hidden_labels"] == ["target"]
    assert first["tables"]


def test_history_shows_what_the_trainer_knows() -> None:
    """The same scores, of a trainer that is given these labels."""
    file = recipe("name = 'hits'; name = 'seer'")
    text = file.read_text().replace('data.source = "drawn"\n', "")
    file.write_text(text.replace("adapter", "informed"))
    run = made("run", file)
    assert [event["scalars"]["seen"] for event in looks(run, "seer")] == [1.0, 2.0, 3.0, 4.0]


def test_labels_that_were_read_in_one_run_are_hidden_in_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    """An evaluator lives as long as the experiment: what it keeps of one variant it has in the other."""
    file = recipe("name = 'keeper'", "kept")
    file.write_text(file.read_text() + "[variants.upper.trainer]\nname = 'informed'\n[variants.adapted]\n")
    experiment = made("run", file, code=1)
    assert f"adapted, seed 0: 'kept' {HIDDEN}" in capsys.readouterr().err
    assert results(experiment / "upper-seed0")["selected_by"]["oracle"] is False
    assert facts(experiment / "adapted-seed0")["status"] == "failed"


def test_after_a_resume_an_evaluator_is_still_known_to_have_read_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It goes by its own history in a process that has not seen it read a label."""
    text = recipe("name = 'rememberer'").read_text().replace("steps = 8", "steps = 30\nlog_every = 1")
    trainer = "trainer = { name = 'adapter', breaks_at = 9, optimizer = { name = 'adam', lr = 0.2 } }"
    run = made("run", write(text.replace('trainer = "adapter"', f"checkpoint_every = 4\n{trainer}")), code=1)
    monkeypatch.setattr(selection, "_read_before", {})
    select = "select={ metric = 'remembered' }"
    words = ["--set", select, "--set", "trainer.optimizer.lr=0.01"]
    assert lab("resume", run, *words) == 1
    assert HIDDEN in capsys.readouterr().err


def test_what_is_wrong_in_a_promise_is_the_author_s_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("run", recipe("name = 'sworn', role = 'sorce'")) == 2
    told = capsys.readouterr().err
    assert "Sworn.check names the role 'sorce', which the recipe has no data for" in told
    assert "run_plugin.py:" in told
    assert lab("run", recipe("name = 'peeping'"), "--dry-run") == 2
    assert "check() can ask data for shapes and counts, not for content" in capsys.readouterr().err
    assert folders() == set()


# Oracles -----------------------------------------------------------------------------------------------


def test_a_row_that_was_picked_by_hidden_labels_says_so_wherever_it_is_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = recipe("name = 'told'", "hits/target", ", allow_hidden_labels = true")
    file.write_text("title = 'mine'\nseeds = [0, 1]\n" + file.read_text())
    experiment = made("run", file)
    printed = capsys.readouterr().out
    assert "mine (oracle)" in printed
    assert "| mine (oracle) |" in (experiment / "results.md").read_text()
    assert results(experiment)["table"]["rows"][0][0] == "mine (oracle)"
    for words in ([], ["--markdown"], ["--json"], ["--column", "hits/source"]):
        assert lab("compare", experiment, *words, plugin=False) == 0
        assert "mine (oracle)" in capsys.readouterr().out
    for name in ("seed0", "seed1"):
        assert results(experiment / name)["selected_by"]["oracle"] is True
    assert lab("evaluate", experiment, "--with", "certain") == 0
    assert "| mine (oracle) |" in (experiment / "results.md").read_text()
    (experiment / "seed0").rename("runs/mine/alone")
    capsys.readouterr()
    assert lab("list", "runs") == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "alone" in line]
    assert "(oracle)" in line


def test_a_notebook_says_so_too() -> None:
    runs = pluglab.run(
        recipe("name = 'told'", "hits/target", ", allow_hidden_labels = true"), plugins=[PLUGIN]
    )
    assert runs.table.rows[0][0] == "r (oracle)"
    assert "r (oracle)" in runs._repr_html_()


def test_the_oracle_s_score_stands_beside_an_honest_one(capsys: pytest.CaptureFixture[str]) -> None:
    run = made("run", recipe("name = 'told'", "hits/source", ", oracle = 'hits/target'"))
    assert "(oracle)" not in (printed := capsys.readouterr().out)
    assert "oracle hits/target" in printed
    best = max(event["scalars"]["hits/target"] for event in looks(run, "told"))
    assert results(run)["scalars"]["oracle hits/target"] == best
