"""What a run tells as it goes on: its history, metrics.jsonl, and the progress display."""

from __future__ import annotations

import io
import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from pluglab.engine.evaluation import Outcome
from pluglab.engine.notices import Notices
from pluglab.engine.selection import Tainted
from pluglab.observers import console
from pluglab.plugins.loading import load_plugins
from pluglab.protocols import Evaluation, RunInfo, Table
from pluglab.recipe.recipe import EvaluatorUse
from pluglab.recipe.resolve import make
from pluglab.storage.history import History
from pluglab.storage.run_folder import RunFolder
from tests.core import toy_plugin
from tests.core.support import Lab
from tests.registries import registry_of

EVALUATION = Evaluation(
    scalars={"target_test": 0.75, "source_test": 0.9, "loss": float("nan")},
    figures={"still": np.full((4, 5, 3), 255, np.uint8), "film": np.zeros((2, 4, 5, 3), np.uint8)},
    tables={"classes": Table(["class", "accuracy"], [["a|b", 0.123456], ["c", 1]])},
    headline=("target_test",),
)


ASKING = """
def lab_step_logged(run, step, scalars):
    with (run.folder.parents[2] / "asked.txt").open("a") as file:
        print(step, run.now(), file=file)
"""


def a_run(folder: Path, **changes: int) -> RunInfo:
    values: dict[str, Any] = {"seed": 3, "steps": 100, "batch_size": 8, **changes}
    return RunInfo(folder=folder, recipe="r", variant="dann", **values)


@pytest.fixture
def run(tmp_path: Path) -> RunInfo:
    return a_run(tmp_path)


# metrics.jsonl ---------------------------------------------------------------------------------------


def notices(run: RunInfo) -> Notices:
    """What the engine tells, with nobody but the history to hear it."""
    return Notices(run, load_plugins(only=""))


def outcome(name: str, step: int, evaluation: Evaluation = EVALUATION, **more: Any) -> Outcome:
    component = make(registry_of(toy_plugin), "evaluator", name)
    return Outcome(EvaluatorUse(name, component, None), step, evaluation, **more)


def train(run: RunInfo, start: int, stop: int) -> None:
    """The events of a run that logs every 10 steps and evaluates every 20."""
    tell = notices(run)
    tell.run_started(start)
    for step in range(start + 10, stop + 1, 10):
        tell.step_logged(step, {"loss": 1 / step})
        if step % 20 == 0:
            tell.evaluated(outcome("toy_accuracy", step))
            tell.checkpoint_saved(step, run.folder / "checkpoints" / f"{step}.pt")


def history(run: RunInfo) -> History:
    return RunFolder(run.folder).history


def events(run: RunInfo, kind: str) -> list[dict[str, Any]]:
    return [event for event in history(run).events() if event["type"] == kind]


def test_every_event_is_one_line_with_its_values(run: RunInfo) -> None:
    train(run, 0, 20)
    tell = notices(run)
    tell.health(20, "the loss is not finite")
    tell.run_finished("finished", {})
    found = history(run).events()
    kinds = ["run_started", "step", "step", "evaluation", "checkpoint", "health", "run_finished"]
    assert [event["type"] for event in found] == kinds
    assert found[2]["step"] == 20 and found[2]["scalars"] == {"loss": 0.05}
    assert found[3]["name"] == "toy_accuracy" and found[3]["scalars"]["target_test"] == 0.75
    assert found[4]["file"] == "20.pt" and found[5]["message"] == "the loss is not finite"
    assert all(before["time"] <= after["time"] for before, after in itertools.pairwise(found))


def test_an_evaluation_is_kept_with_its_tables_its_figures_and_its_protocol(run: RunInfo) -> None:
    found = Evaluation({"a": 1.0}, tables=EVALUATION.tables, protocol={"count": 10})
    files = {"still": {"file": "figures/still.png", "caption": "what there is to see"}}
    notices(run).evaluated(
        outcome(
            "toy_accuracy", 7, found, tainted=Tainted(frozenset({"a"}), frozenset({"train"})), figures=files
        )
    )
    (event,) = events(run, "evaluation")
    assert event["tables"]["classes"] == {
        "columns": ["class", "accuracy"],
        "rows": [["a|b", 0.123456], ["c", 1]],
    }
    assert event["figures"] == files
    assert event["protocol"] == {"count": 10}
    assert (event["tainted"], event["hidden_labels"]) == (["a"], ["train"])
    assert "afterwards" not in event


def test_what_is_evaluated_afterwards_is_no_part_of_the_training(run: RunInfo) -> None:
    train(run, 0, 20)
    before = history(run).training()
    notices(run).evaluated(outcome("toy_confidence", 20), afterwards=True)
    assert events(run, "evaluation")[-1]["afterwards"] is True
    assert history(run).training() == before


def test_values_that_are_not_finite_stay_valid_json(run: RunInfo) -> None:
    notices(run).step_logged(1, {"a": float("nan"), "b": float("inf"), "c": 1.5})

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    event = json.loads(history(run).path.read_text(), parse_constant=refuse)
    assert event["scalars"] == {"a": None, "b": None, "c": 1.5}


def test_a_resumed_run_has_the_history_of_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, resumed = (a_run(tmp_path / name) for name in ("whole", "resumed"))
    for run in (whole, resumed):
        run.folder.mkdir()
    train(whole, 0, 100)
    train(resumed, 0, 50)
    train(resumed, 40, 100)
    for kind in ("step", "evaluation", "checkpoint"):
        left, right = ([{**event, "time": 0} for event in events(run, kind)] for run in (whole, resumed))
        assert left == right
    assert [event["step"] for event in events(resumed, "run_started")] == [0, 40]


def test_a_half_written_last_line_is_left_out_and_then_dropped(run: RunInfo) -> None:
    train(run, 0, 40)
    whole = history(run).events()
    with history(run).path.open("ab") as file:
        file.write(b'{"type": "step", "step": 50, "sca' + "é".encode()[:1])
    assert history(run).events() == whole
    train(run, 40, 60)
    assert [event["step"] for event in events(run, "step")] == [10, 20, 30, 40, 50, 60]


def test_what_is_evaluated_again_after_the_last_checkpoint_stands_once(run: RunInfo) -> None:
    train(run, 0, 40)
    for _ in range(2):
        tell = notices(run)
        tell.evaluated(outcome("toy_confidence", 40))
        tell.run_finished("interrupted", {})
        notices(run).run_started(40)
    notices(run).evaluated(outcome("toy_confidence", 40))
    names = [(event["step"], event["name"]) for event in events(run, "evaluation")]
    assert names == [(20, "toy_accuracy"), (40, "toy_accuracy"), (40, "toy_confidence")]
    assert len(events(run, "run_finished")) == 2


def test_a_run_that_starts_over_has_no_old_history(run: RunInfo) -> None:
    train(run, 0, 40)
    train(run, 0, 20)
    assert [event["step"] for event in events(run, "step")] == [10, 20]


def test_a_missing_history_is_empty(tmp_path: Path) -> None:
    assert History(tmp_path / "nothing.jsonl").events() == []


# The progress display ------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Time that passes only when told to."""
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += seconds

    return wait


def test_plain_lines_come_every_ten_seconds_on_stderr(
    run: RunInfo, clock: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    observer = console.ConsoleObserver()
    observer.run_started(run, 0)
    for step in range(10, 101, 10):
        clock(4)
        observer.step_logged(run, step, {"loss": 0.25, "speed/images_per_s": 2000.4})
    observer.run_finished(run, "finished", {})
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "dann, seed 3: 0 of 100",
        "dann, seed 3: 30 of 100, 30 %, 28 s left, 2,000 images/s  loss 0.25",
        "dann, seed 3: 60 of 100, 60 %, 16 s left, 2,000 images/s  loss 0.25",
        "dann, seed 3: 90 of 100, 90 %, 4 s left, 2,000 images/s  loss 0.25",
        "dann, seed 3: finished at step 100 after 40 s, 2,000 images/s  loss 0.25",
    ]


def test_a_resumed_run_counts_only_its_own_steps(
    tmp_path: Path, clock: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    run, observer = a_run(tmp_path / "one", index=1, count=3), console.ConsoleObserver()
    observer.run_started(run, 80)
    clock(20)
    observer.step_logged(run, 90, {"loss": 1.0})
    observer.run_finished(run, "finished", {})
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "dann, seed 3 (2 of 3): 80 of 100"
    assert lines[1].startswith(
        "dann, seed 3 (2 of 3): 90 of 100, 90 %, 20 s left, 3 min 40 s for all, loss 1"
    )


def test_the_time_for_all_is_that_of_the_runs_so_far(
    tmp_path: Path, clock: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """The first took 100 s, the second will take 200, so the third is expected to take 150."""
    for index, seconds in ((0, 10), (1, 20)):
        run, observer = a_run(tmp_path / str(index), index=index, count=3), console.ConsoleObserver()
        observer.run_started(run, 0)
        clock(seconds)
        observer.step_logged(run, 10, {"loss": 1.0})
        clock(9 * seconds)
        observer.step = 100
        observer.run_finished(run, "finished", {})
    first, second = [line for line in capsys.readouterr().err.splitlines() if " left" in line]
    assert "10 of 100, 10 %, 1 min 30 s left, 4 min 50 s for all" in first
    assert "10 of 100, 10 %, 3 min 0 s left, 5 min 30 s for all" in second


def test_the_last_run_says_nothing_of_others(
    tmp_path: Path, clock: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    observer = console.ConsoleObserver()
    run = a_run(tmp_path / "last", index=2, count=3)
    observer.run_started(run, 0)
    clock(20)
    observer.step_logged(run, 50, {"loss": 1.0})
    assert "20 s left, loss 1" in capsys.readouterr().err


def test_the_live_bar_moves_between_two_logs() -> None:
    terminal, written = on_a_terminal()
    at = [0]
    display = console.LiveDisplay(terminal, "run", 200, now=lambda: at[0])
    at[0] = 37
    display.live.refresh()
    display.stop()
    assert "37/200" in written.getvalue()


def test_observers_can_ask_where_a_run_is(recipe: Path, lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "asking.py").write_text(ASKING)
    assert lab("run", recipe, "--plugin", tmp_path / "asking.py") == 0
    told = [line.split() for line in (tmp_path / "asked.txt").read_text().splitlines()]
    assert told == [[str(step)] * 2 for step in range(5, 41, 5)]


def test_warnings_and_scores_are_told_as_they_are(run: RunInfo, capsys: pytest.CaptureFixture[str]) -> None:
    observer = console.ConsoleObserver()
    observer.run_started(run, 0)
    observer.health(run, 5, "loss [bold]is[/bold] nan")
    observer.evaluated(run, 5, "accuracy", EVALUATION)
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines()[1:] == [
        "warning: step 5: loss [bold]is[/bold] nan",
        "step 5  accuracy  target_test 0.75",
    ]


def test_an_evaluation_is_a_line_whatever_it_holds() -> None:
    still = np.zeros((2, 2, 3), np.uint8)
    scores = {f"s{i}": float(i) for i in range(9)}
    assert console.evaluation_line(3, "x", Evaluation(scores)) == "step 3  x  s0 0  s1 1  s2 2  s3 3"
    two = {"a": still, "b": still}
    assert console.evaluation_line(3, "x", Evaluation(figures=two)) == "step 3  x  2 pictures"
    assert console.evaluation_line(3, "x", Evaluation()) == "step 3  x"


def on_a_terminal(width: int = 80) -> tuple[Console, io.StringIO]:
    written = io.StringIO()
    return Console(file=written, force_terminal=True, width=width, color_system=None), written


def test_the_live_bar_shows_everything_and_leaves_the_terminal_as_it_was() -> None:
    terminal, written = on_a_terminal()
    stdout, stderr = sys.stdout, sys.stderr
    display = console.LiveDisplay(terminal, "dann, seed 0 (2 of 3)", 200)
    assert sys.stdout is stdout
    display.update(50, "99 images/s  loss 0.25")
    display.live.refresh()
    display.say("step 50  accuracy  target_test 0.75")
    display.stop()
    text = written.getvalue()
    for part in ("dann, seed 0 (2 of 3)", "25 %", "50/200", "left", "99 images/s  loss 0.25", "target_test"):
        assert part in text
    assert sys.stderr is stderr
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l")


def test_the_cursor_is_never_left_hidden_while_the_bar_is_live() -> None:
    terminal, written = on_a_terminal()
    display = console.LiveDisplay(terminal, "run", 10)
    assert written.getvalue().rfind("\x1b[?25h") > written.getvalue().rfind("\x1b[?25l")
    display.stop()


def test_no_line_of_the_live_bar_is_longer_than_the_terminal() -> None:
    terminal, _ = on_a_terminal(width=60)
    display = console.LiveDisplay(terminal, "domain separation network, seed 0 (12 of 30)", 15000, 14000)
    display.update(14999, "9,999 images/s  " + "  ".join(f"loss_{i} 0.1234" for i in range(9)))
    lines = terminal.render_lines(display._picture(), pad=False)
    display.stop()
    assert len(lines) == 2
    assert all(sum(segment.cell_length for segment in line) <= 60 for line in lines)


def test_the_preparation_bar_says_how_it_ended(
    clock: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with console.progress_bar("decode USPS", 30) as bar:
        for _ in range(3):
            clock(7)
            bar.advance(10)
    with pytest.raises(ValueError, match="broken"), console.progress_bar("decode SVHN", 30) as bar:
        bar.advance(10)
        raise ValueError("broken archive")
    assert capsys.readouterr().err.splitlines() == [
        "decode USPS: 0 of 30",
        "decode USPS: 20 of 30, 67 %, 7 s left",
        "decode USPS: done after 21 s",
        "decode SVHN: 0 of 30",
        "decode SVHN: stopped at 10 of 30 after 0 s",
    ]


@pytest.mark.parametrize(("seconds", "text"), [(8.4, "8 s"), (59.6, "1 min 0 s"), (3800, "1 h 3 min")])
def test_durations_read_well(seconds: float, text: str) -> None:
    assert console.duration(seconds) == text


def test_the_observers_import_nothing_heavy() -> None:
    code = (
        "import sys; from pluglab.observers import console; from pluglab.storage import history;"
        "from pluglab.observers.tensorboard import observer;"
        "print([m for m in ('torch', 'numpy', 'tensorboard', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_line_after_one_that_is_half_written_is_a_line(tmp_path: Path) -> None:
    history = History(tmp_path / "metrics.jsonl")
    history.append("step", step=1, scalars={})
    with history.path.open("a") as file:
        file.write('{"type": "step", "st')  # as SIGKILL can leave it
    history.append("evaluation", step=1, name="late", scalars={"é": 1.0}, afterwards=True)
    with pytest.warns(UserWarning, match="line 2 is damaged"):
        assert [event["type"] for event in history.events()] == ["step", "evaluation"]
