"""What runs tell from their folders alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pluglab.records import Record, read_record, read_records
from pluglab.storage.run_folder import write_json
from tests.core.support import Lab, only_run

VARIANTS = "\n[variants.wide]\n[variants.narrow]\ntrainer.width = 4\n"


def read(*folders: str | Path) -> tuple[list[Record], list[str]]:
    said: list[str] = []
    return read_records([Path(folder) for folder in folders], said.append), said


@pytest.fixture
def trained(lab: Lab, recipe: Path) -> Path:
    """An experiment of two variants and two seeds; 'wide' comes first in its recipe."""
    recipe.write_text(recipe.read_text() + VARIANTS)
    assert lab("run", recipe, "--set", "steps=8", "--set", "seeds=[1,0]", "--set", "checkpoint_every=4") == 0
    return only_run()


def test_a_run_is_told_as_its_folder_has_it(trained: Path) -> None:
    records, said = read("runs")
    assert not said
    assert [record.label for record in records] == [
        "wide, seed 1",
        "wide, seed 0",
        "narrow, seed 1",
        "narrow, seed 0",
    ]
    narrow = records[2]
    assert narrow.path == trained / "narrow-seed1" and narrow.experiment == trained
    assert (narrow.title, narrow.status, narrow.steps, narrow.step()) == ("toy", "finished", 8, 8)
    assert narrow.options["trainer.width"] == 4 and records[0].options["trainer.width"] == 8
    assert narrow.options["trainer.optimizer.name"] == "adam"  # a default
    assert narrow.options["evaluate.1.every"] == 7
    assert narrow.scalars == json.loads((narrow.path / "results.json").read_text())["scalars"]
    assert narrow.headline == ["toy_accuracy/train"]
    assert narrow.trained_on == ["train"] and narrow.unlabeled == []
    assert narrow.started is not None and narrow.started.utcoffset() is not None
    assert narrow.seconds == sum(narrow.results["seconds"].values())
    assert sorted(narrow.checkpoints) == [4, 8]
    assert all(path.is_file() for path in narrow.checkpoints.values())
    files = [path for path in narrow.path.rglob("*") if path.is_file()]
    assert narrow.size() == sum(len(path.read_bytes()) for path in files)
    assert {event["type"] for event in narrow.history()} > {"step", "evaluation", "checkpoint"}


def test_pictures_and_tables_are_those_of_the_reported_step(trained: Path) -> None:
    record = read_record(trained / "wide-seed0")
    (name, figure), *_ = record.figures().items()
    assert name == "toy_confidence_bar" and figure.path.is_file()
    assert figure.evaluator == "toy_confidence" and figure.step == 8
    assert set(record.tables()) == {
        f"{label}/{table}" for label, one in record.results["evaluations"].items() for table in one["tables"]
    }


def test_before_the_end_the_last_looks_count(trained: Path) -> None:
    folder = trained / "wide-seed0"
    (folder / "results.json").unlink()
    record = read_record(folder)
    assert record.scalars == {} and record.headline == []
    assert record.figures()["toy_confidence_bar"].step == 8


def test_a_damaged_folder_blocks_nothing(trained: Path) -> None:
    (trained / "wide-seed0" / "run.json").write_text("{")
    (trained / "wide-seed1" / "recipe.toml").write_text("a = = 1")
    write_json(trained / "narrow-seed1" / "run.json", {"status": "finished", "identity": "x", "format": 2})
    records, said = read("runs", "nowhere")
    assert [record.label for record in records] == ["narrow, seed 0"]
    assert len(said) == 4 and "wide-seed0/run.json cannot be read" in said[1]
    assert "its run.json does not name the run" in said[2] and said[3].endswith("no folder nowhere")


def test_a_damaged_history_is_told_in_words(trained: Path) -> None:
    record = read_record(trained / "wide-seed0")
    history = record.history()
    lines = (record.path / "metrics.jsonl").read_text()
    (record.path / "metrics.jsonl").write_text('{"type": "step"\n' + lines)
    with pytest.warns(UserWarning, match=r"metrics\.jsonl: line 1 is damaged and left out"):
        assert record.history() == history


def test_an_experiment_whose_own_file_is_damaged_still_has_its_runs(trained: Path) -> None:
    for text in ("{", "{}", '{"runs": 3}'):
        (trained / "experiment.json").write_text(text)
        records, said = read("runs")
        assert len(records) == 4 and len(said) == 1 and "experiment.json" in said[0]


def test_a_run_is_read_once_however_it_is_reached(trained: Path) -> None:
    records, _ = read(trained / "narrow-seed0", "runs", trained)
    assert len(records) == 4 and records[0].label == "narrow, seed 0"
    assert records[0].experiment == trained


def test_neither_torch_nor_numpy_is_imported(trained: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pluglab.comparison import compare, tables;"
        "from pluglab.records import read_records;"
        "grids = tables(compare(read_records([Path('runs')], print), print)); assert len(grids[0].rows) == 2;"
        "found = {'torch', 'numpy', 'scipy', 'pydantic'} & set(sys.modules); assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
