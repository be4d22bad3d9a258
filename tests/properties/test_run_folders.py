"""Run folders that something has changed: whatever reads them says what is wrong, or shows what is left."""

from __future__ import annotations

import copy
import json
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pluglab.cli import main
from pluglab.errors import UserError
from pluglab.records import read_record
from pluglab.storage.history import History
from pluglab.storage.run_folder import ExperimentFolder, claim_folder, slug
from tests.core.runs import RECIPE, lab, write
from tests.properties.values import TEXTS

FILES = ("run.json", "results.json", "metrics.jsonl", "recipe.toml", "experiment.json", "tags.json")
ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    TEXTS,
    st.sampled_from([[], {}, [[]], "../..", "/etc", "\x1b[2J", "[/red]", {"a": {}}, [1, "a"], 10**30]),
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment of two runs, one with a tag."""
    root = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert lab("run", write(f"seeds = [0, 1]\n{RECIPE}")) == 0
        (experiment,) = Path("runs").glob("*/*")
        assert lab("tag", next(experiment.glob("*/run.json")).parent, "--add", "good", plugin=False) == 0
    return root / "runs"


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = (
        value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    )
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The value with something else at a place; taken out where it is `...`."""
    if not path:
        return None if new is ... else new
    value = copy.deepcopy(value)
    owner = value
    for key in path[:-1]:
        owner = owner[key]
    if new is ...:
        del owner[path[-1]]
    else:
        owner[path[-1]] = new
    return value


@st.composite
def mutation(draw: st.DrawFn, content: bytes, suffix: str) -> bytes:
    kind = draw(st.sampled_from(["value", "value", "value", "bytes", "gone"]))
    if kind == "gone":
        return b""
    if kind == "bytes" or suffix == ".toml":
        at = draw(st.integers(0, len(content)))
        new = draw(st.sampled_from([b"", b"\x00", b"\xff", b'"', b"[", b"{", b"\n", b"9" * 40, b"1e999"]))
        return content[:at] + new + content[at + draw(st.integers(0, 20)) :]
    lines = content.splitlines() if suffix == ".jsonl" else [content]
    index = draw(st.integers(0, len(lines) - 1))
    value = json.loads(lines[index])
    new = ... if draw(st.integers(0, 3)) == 0 else draw(ODD)
    lines[index] = json.dumps(changed(value, draw(st.sampled_from(places(value))), new)).encode()
    return b"\n".join(lines) + b"\n"


def leave(*words: object) -> int:
    """The exit code of `lab WORDS`."""
    with pytest.raises(SystemExit) as left:
        main([*map(str, words)])
    return int(left.value.code or 0)


def everything_of(folder: Path) -> None:
    """Ask a record for all that it can tell."""
    record = read_record(folder)
    for name in ("label", "options", "axes", "scalars", "headline", "oracle", "trained_on", "unlabeled"):
        getattr(record, name)
    for name in ("started", "seconds", "steps", "checkpoints"):
        getattr(record, name)
    for name in ("step", "size", "history", "evaluations", "figures", "tables"):
        getattr(record, name)()


@given(data=st.data())
def test_a_changed_file_of_a_run_is_told_of(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], data: st.DataObject
) -> None:
    root = tmp_path / "runs"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(whole, root, ignore=shutil.ignore_patterns("*.pt", "tensorboard"))
    files = sorted(path for path in root.rglob("*") if path.name in FILES)
    path = data.draw(st.sampled_from(files).map(lambda p: p.relative_to(root)), "file")
    file = root / path
    file.write_bytes(data.draw(mutation(file.read_bytes(), file.suffix), "content"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        words = data.draw(st.sampled_from([("list", "runs"), ("compare",), ("records",)]), "command")
        if words == ("records",):
            for run in root.glob("*/*/*/run.json"):
                try:
                    everything_of(run.parent)
                except UserError as error:
                    str(error)
            return
        arguments = [*words, "--run-dir", root] if words == ("list", "runs") else [*words, root]
        code = leave(*arguments)
    said = capsys.readouterr()
    assert code in (0, 2), said.err
    assert "Traceback" not in said.err and "fault in the program" not in said.err
    assert "\x1b[2J" not in said.out + said.err


LINE = st.one_of(
    st.builds(
        lambda kind, step: json.dumps({"type": kind, "step": step}), st.sampled_from(["step", "health"]), ODD
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=20),
    st.sampled_from(["", "\x00\x00", "{", "[" * 3000, '{"type": 3}', "null", '{"type": "run_finished"}']),
)


@example(lines=["[" * 5000], step=1, cut=0)
@given(lines=st.lists(LINE, max_size=6), step=st.integers(0, 5), cut=st.integers(0, 5))
def test_a_history_is_what_its_good_lines_say(tmp_path: Path, lines: list[str], step: int, cut: int) -> None:
    good = [{"type": "step", "step": number, "time": 0.0, "scalars": {"loss": 1.0}} for number in range(1, 6)]
    mixed = [
        text
        for pair in zip([json.dumps(e) for e in good], [*lines, *[""] * 5], strict=False)
        for text in pair
    ]
    path = tmp_path / "metrics.jsonl"
    path.write_bytes("\n".join(mixed).encode() + b"\n" + json.dumps(good[0]).encode()[: -1 - cut])
    history = History(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert [event for event in history.events() if event in good] == good
        history.rewind(step)
        kept = history.events()
    assert [event for event in kept if event in good] == good[:step]
    history.append("health", step=step, message="\n")
    assert history.events()[-1]["message"] == "\n"


@given(title=TEXTS)
@example(title="..")
@example(title="a/../../b")
@example(title="x" * 300)
def test_a_title_leads_nowhere_else(tmp_path: Path, title: str) -> None:
    name = slug(title)
    assert name not in ("", ".", "..") and not set(name) & set("/\\\x00\n\x1b:[]")
    try:
        folder = claim_folder(tmp_path, title)
    except UserError:
        assert len(title) > 200
        return
    assert folder.parent == tmp_path / name and folder.is_dir()
    folder.rmdir()
    folder.parent.rmdir()


@example(names=[".."])
@given(names=st.one_of(ODD, st.lists(ODD, max_size=3)))
def test_the_runs_of_an_experiment_are_folders_in_it(tmp_path: Path, names: Any) -> None:
    (tmp_path / "experiment.json").write_text(json.dumps({"format": 2, "runs": names}))
    try:
        runs = ExperimentFolder(tmp_path).runs()
    except UserError:
        return
    assert all(run.path.resolve().parent == tmp_path.resolve() for run in runs)
