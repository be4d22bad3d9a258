"""`lab tensorboard`: runs from anywhere, under names that begin with method and seed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from pluglab.cli import main
from pluglab.cli.tensorboard import names_of
from pluglab.records import Record
from pluglab.storage.run_folder import RunFolder


def a_record(folder: Path, title: str, variant: str, seed: int = 0, *, events: bool = True) -> Record:
    if events:
        RunFolder(folder).tensorboard.mkdir(parents=True)
    experiment = folder.parent if variant else None
    return Record(folder, title, variant, seed, "finished", {}, {}, {}, experiment)


def test_each_run_has_the_shortest_name_that_no_other_has(tmp_path: Path) -> None:
    runs = [
        a_record(tmp_path / "gap" / "1" / "a", "gap", "DANN"),
        a_record(tmp_path / "gap" / "1" / "b", "gap", "source only"),
        a_record(tmp_path / "gap" / "1" / "c", "gap", "DANN", 1),
        a_record(tmp_path / "far" / "2" / "a", "far", "DANN"),
        a_record(tmp_path / "far" / "2" / "b", "far", "target only"),
        a_record(tmp_path / "far" / "3" / "b", "far", "target only"),
        a_record(tmp_path / "one" / "4", "a/b", ""),
        a_record(tmp_path / "one" / "5", "none", "", events=False),
    ]
    names = [
        "DANN, seed 0, gap",
        "source only, seed 0",
        "DANN, seed 1",
        "DANN, seed 0, far",
        "target only, seed 0, far, 2",
        "target only, seed 0, far, 3",
        "a-b, seed 0",
    ]
    assert names_of(runs) == dict(zip(names, [run.path / "tensorboard" for run in runs], strict=False))


def test_it_starts_on_a_folder_of_these_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record, seen = a_record(tmp_path / "1", "gap", ""), list[Any]()

    def call(words: list[str]) -> int:
        folder = words[words.index("--logdir") + 1]
        seen.append([(path.name, path.resolve()) for path in Path(folder).iterdir()])
        seen.append(words[-1])
        return 3

    monkeypatch.setattr(subprocess, "call", call)
    monkeypatch.setattr("pluglab.records.read_records", lambda folders, say: [record])
    with pytest.raises(SystemExit, match=r"^3$"):
        main(["tensorboard", "runs", "--port", "6010"])
    assert seen == [[("gap, seed 0", (tmp_path / "1" / "tensorboard").resolve())], "6010"]


def test_where_there_is_nothing_to_show_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["tensorboard", str(tmp_path)])
    assert "none of these runs has anything for TensorBoard" in capsys.readouterr().err
