"""What a stranger may have made: files that have no end, run folders that name programs, damaged records."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from pathlib import Path

import pytest

import pluglab
from pluglab.bounded import read_bounded
from pluglab.errors import UserError
from pluglab.recipe.positions import parse_toml, read_toml
from pluglab.storage.history import History
from pluglab.storage.run_folder import RunFolder, resuming
from tests.core.runs import PLUGIN, lab, made, trained, write
from tests.core.support import RECIPE, lab_process, last_state, only_run

# Files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_file_without_an_end_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "recipe.toml"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path = Path("/dev/zero")
    with pytest.raises(UserError, match="a regular file is needed"):
        read_toml(path)


def test_a_file_is_as_large_as_it_may_be(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"x" * 10)
    assert read_bounded(path, 10) == b"x" * 10
    with pytest.raises(UserError, match="more than 9 bytes"):
        read_bounded(path, 9)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = " + "[" * 5000, "nested too deeply"),
        ("x = " + "[" * 60 + "]" * 60, "nested too deeply"),
        (".".join("a" * 100) + " = 1", "nested too deeply"),
        ("".join(f"k{i} = {i}\n" for i in range(20_000)), "more than 5,000 values"),
        ("x = [" + "1," * 6000 + "]", "more than 5,000 values"),
    ],
)
def test_what_no_recipe_can_be_is_told_in_a_line(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        parse_toml(text, "odd.toml")


def test_positions_are_found_in_a_long_text() -> None:
    text = "".join(f"k{i} = {{ a = [{i}, 2], b = 'c' }}  # a remark\n" for i in range(800))
    span = parse_toml(text, "long.toml").locate(("k799", "a", 0), value=True)
    assert span is not None
    assert (span.line, span.column, span.length) == (800, len("k799 = { a = [") + 1, 3)


def test_of_many_problems_a_person_reads_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "wrong.toml"
    recipe.write_text("steps = 5\n" + "".join(f"k{i} = {i}\n" for i in range(30)))
    assert lab("show", "recipe", recipe) == 2
    said = capsys.readouterr().err
    assert said.count("unknown option") == 20 and "more" in said.splitlines()[-1]


def test_a_long_line_is_shown_around_its_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "wrong.toml"
    recipe.write_text(f'steps = 5\nextends = "{"a" * 3000}"\n')
    assert lab("show", "recipe", recipe) == 2
    shown = [line for line in capsys.readouterr().err.splitlines() if " | " in line]
    assert shown and max(map(len, shown)) < 220


@pytest.mark.parametrize("words", [("evaluate",), ("resume",), ("compare",), ("describe",)])
def test_a_name_that_is_too_long_is_the_users(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab(*words, "a" * 300) == 2
    assert "fault in the program" not in capsys.readouterr().err


# Run folders -----------------------------------------------------------------------------------------


def planted(folder: Path, name: str | None = None) -> Path:
    """A run whose record has got a program of a stranger's; what the program leaves when it runs."""
    mark, program = folder.parent / "it_ran", folder / "evil.py"
    program.write_text(f"open({str(mark)!r}, 'w')\n")
    record = json.loads((folder / "run.json").read_text())
    record["plugin_files"] = {name or str(program.resolve()): "0" * 64}
    (folder / "run.json").write_text(json.dumps(record))
    return mark


@pytest.mark.parametrize("command", ["resume", "evaluate", "extend"])
@pytest.mark.parametrize("name", [None, "runs/../evil.py"])
def test_a_run_folder_cannot_name_a_program_that_then_runs(
    command: str, name: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained()
    mark = planted(run, name)
    assert lab(command, run, plugin=False) == 2
    said = capsys.readouterr().err
    assert ("--plugin" in said and "--trust" in said) if name is None else "relative paths" in said
    assert not mark.exists()
    with pytest.raises(pluglab.UserError):
        pluglab.load(run)
    assert not mark.exists()


def test_a_program_that_was_named_here_need_not_be_named_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained()
    assert lab("evaluate", run, plugin=False) == 0
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "another person's"))
    assert lab("evaluate", run, plugin=False) == 2
    assert str(PLUGIN) in capsys.readouterr().err
    assert lab("evaluate", run, "--trust", plugin=False) == 0
    assert lab("evaluate", run, plugin=False) == 2  # trust is not remembered
    assert pluglab.load(run, trust=True).name == "learner"
    assert pluglab.load(run, plugins=[PLUGIN]).name == "learner"
    assert lab("evaluate", run, plugin=False) == 0  # naming is


def test_a_program_that_has_changed_has_to_be_named_again(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PLUGIN.read_text())
    run = made("run", write(), "--plugin", program, plugin=False)
    assert lab("evaluate", run, plugin=False) == 0
    program.write_text(PLUGIN.read_text() + "\n# by another hand\n")
    assert lab("evaluate", run, plugin=False) == 2
    assert lab("evaluate", run, "--plugin", program, plugin=False) == 0


def test_workers_trust_as_their_parent_does_and_remember_as_little(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    assert lab("run", write(), "--set", "seeds=[0,1]", "--jobs", "2", "--trust") == 0
    assert not (tmp_path / "cache" / "named_plugins.txt").exists()
    assert lab("run", write(), "--set", "steps=4") == 0
    assert str(PLUGIN) in (tmp_path / "cache" / "named_plugins.txt").read_text()


def test_a_relative_program_is_run_for_nobody() -> None:
    run = trained()
    mark = planted(run, "evil.py")
    assert lab("evaluate", run, "--trust", plugin=False) == 2
    assert not mark.exists()


def test_the_command_to_go_on_names_the_programs() -> None:
    run = trained()
    assert resuming(run) == f"lab resume {run} --plugin {PLUGIN}"


def test_an_experiment_has_its_runs_inside(tmp_path: Path) -> None:
    experiment = tmp_path / "experiment"
    experiment.mkdir()
    for runs in (["../elsewhere"], ["/etc"], "all", [3]):
        (experiment / "experiment.json").write_text(json.dumps({"format": 2, "runs": runs}))
        assert lab("resume", experiment) == 2


# Records ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line", ["{broken\n", "[1, 2]\n", '{"step": 5}\n', "\x00\x00\x00\n", '{"type": 3}\n']
)
def test_a_damaged_line_of_the_history_blocks_no_other(line: str) -> None:
    run = trained("steps=8")
    path = RunFolder(run).history.path
    before = History(path).events()
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:3], line, *lines[3:]]))
    with pytest.warns(UserWarning, match="line 4 is damaged") if line.strip("\x00\n") else nullcontext():
        assert History(path).events() == before
    assert lab("resume", run, "--set", "steps=12") == 0
    steps = [event["step"] for event in History(path).events() if event["type"] == "step"]
    assert steps == sorted(set(steps)) and steps[-1] == 12


def test_a_signal_of_a_closed_terminal_or_of_a_scheduler_saves(tmp_path: Path) -> None:
    for name, code in (("HUP", 129), ("USR1", 138)):
        (tmp_path / name).mkdir()
        recipe = tmp_path / name / "toy.toml"
        recipe.write_text(RECIPE)
        ended = lab_process("run", recipe, "--run-dir", tmp_path / name, TOY_END=f"{name}:23")
        assert ended.returncode == code, ended.stderr
        assert last_state(only_run(tmp_path / name))["step"] == 24
