"""Data of a run are known again by their content: found where they have moved, refused where they changed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.core.runs import RECIPE, facts, lab, made, results, store, trained, write

STORED = RECIPE.replace('data.train = "drawn"', 'data.train = { name = "stored", path = "data/a.npz" }')
FURTHER = ["--set", "steps=16"]


def moved() -> Path:
    """A run whose data lie below `disk` now."""
    store("data/a.npz")
    run = trained(recipe=STORED)
    Path("disk").mkdir()
    shutil.move("data", "disk/data")
    return run


@pytest.mark.parametrize("way", [["--data-root", "disk"], ["--set", "data.train.path=disk/data/a.npz"]])
@pytest.mark.parametrize("words", [["evaluate"], ["resume", *FURTHER], ["extend", *FURTHER]])
def test_moved_data_are_found_by_every_command(
    words: list[str], way: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run = moved()
    command, *rest = words
    assert lab(command, run, *rest) == 2
    assert "if they have moved: --data-root DIR, or --set data.train.path=..." in capsys.readouterr().err
    assert lab(command, run, *rest, *way) == 0


@pytest.mark.parametrize("root", ["disk", "disk/data"])
def test_an_absolute_path_is_found_below_the_data_root(root: str) -> None:
    store("data/a.npz")
    run = trained(f"data.train.path={Path('data/a.npz').resolve()}", recipe=STORED)
    Path("disk").mkdir()
    shutil.move("data", "disk/data")
    assert lab("evaluate", run) == 2
    assert lab("evaluate", run, "--data-root", root) == 0


@pytest.mark.parametrize(
    ("way", "again"),
    [(["--data-root", "disk"], []), (["--set", "data.train.path=disk/data/a.npz"], [])],
)
def test_a_resume_remembers_where_the_data_are(
    way: list[str], again: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = moved().resolve()
    assert lab("resume", run, *FURTHER, *way) == 0
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "away")
    assert lab("evaluate", run, *again) == 0


def test_a_run_is_used_from_another_working_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store("data/a.npz")
    run = trained(recipe=STORED).resolve()
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "away")
    assert lab("evaluate", run) == 0
    assert lab("resume", run, *FURTHER) == 0
    assert lab("extend", run, "--set", "steps=20") == 0


def test_a_run_remembers_its_data_root() -> None:
    store("disk/data/a.npz")
    run = made("run", write(STORED), "--data-root", "disk")
    assert facts(run)["data_root"] == str(Path("disk").resolve())
    for words in (["evaluate", run], ["resume", run, *FURTHER], ["extend", run, "--set", "steps=20"]):
        assert lab(*words) == 0


def test_a_project_is_moved_as_a_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    store("data/a.npz")
    run = trained(recipe=STORED)
    monkeypatch.chdir(tmp_path)
    shutil.move("here", "there")
    assert lab("evaluate", Path("there") / run) == 0
    monkeypatch.chdir("/")
    assert lab("resume", tmp_path / "there" / run, *FURTHER) == 0


def test_changed_data_are_refused_with_both_hashes(capsys: pytest.CaptureFixture[str]) -> None:
    store("data/a.npz")
    run = trained(recipe=STORED)
    before = facts(run)["data"]["train"]["sha256"]["train"][:16]
    untouched = (run / "run.json").read_text()
    store("data/a.npz", pixel=1)
    for words in (["evaluate", run], ["resume", run, *FURTHER], ["extend", run, *FURTHER]):
        assert lab(*words) == 2
        told = capsys.readouterr().err
        assert f"their hash was {before}, and is " in told
        assert "--accept-data" in told
    assert (run / "run.json").read_text() == untouched
    assert len(list(run.parent.iterdir())) == 1


def test_a_changed_test_split_is_refused_too(capsys: pytest.CaptureFixture[str]) -> None:
    run = trained()
    assert lab("evaluate", run, "--set", "data.train.held_out=1") == 2
    assert "the 'test' images of 'train' are not those of the run" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["resume", *FURTHER], ["extend", *FURTHER]])
def test_accepted_data_are_recorded_and_no_longer_said_to_be_the_same(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Not 'bit for bit' what a run on the changed data would have been, and another identity than its."""
    store("data/a.npz")
    run = trained(recipe=STORED)
    store("data/a.npz", pixel=1)
    other = trained("steps=16", recipe=STORED)
    command, *rest = words
    if command == "extend":
        run = made(command, run, *rest, "--accept-data")
    else:
        assert lab(command, run, *rest, "--accept-data") == 0
    told = capsys.readouterr().err
    assert "the images of 'train' are others from step 12 on" in told
    assert "bit for bit" not in told
    now = facts(run)
    reasons = now["changes"][0]["reasons"] if command == "resume" else now["parent"]["reasons"]
    assert reasons == ["the images of 'train' are others from step 12 on"]
    assert now["data"]["train"]["sha256"] == facts(other)["data"]["train"]["sha256"]
    assert now["identity"] != facts(other)["identity"]


def test_data_accepted_for_an_evaluation_count_when_the_run_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    store("data/a.npz")
    run = trained(recipe=STORED)
    before = facts(run)["identity"]
    store("data/a.npz", pixel=1)
    assert lab("evaluate", run, "--accept-data") == 0
    (change,) = facts(run)["data_changes"]
    assert (change["role"], change["split"]) == ("train", "train")
    assert lab("evaluate", run) == 0
    capsys.readouterr()
    assert lab("resume", run, *FURTHER) == 0
    assert "the images of 'train' are others" in capsys.readouterr().err
    (noted,) = facts(run)["changes"]
    assert noted["data"] == [change]
    assert noted["identity"] == before != facts(run)["identity"]


def test_accepting_data_leaves_runs_alone_that_are_at_their_end() -> None:
    """One of two has to go on; the other has nothing left to train."""
    store("data/a.npz")
    two = STORED.replace("batch_size", "seeds = [0, 1]\nbatch_size")
    experiment = made("run", write(two))
    run_json = experiment / "seed1/run.json"
    run_json.write_text(run_json.read_text().replace('"status": "finished"', '"status": "interrupted"'))
    for file in (experiment / "seed1/checkpoints").glob("step_00000012*"):
        file.unlink()
    store("data/a.npz", pixel=1)
    assert lab("resume", experiment) == 2
    assert lab("resume", experiment, "--accept-data") == 0
    assert "changes" not in facts(experiment / "seed0")
    assert facts(experiment / "seed1")["changes"][0]["data"]


def test_data_that_are_elsewhere_and_others_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    store("data/a.npz")
    run = trained(recipe=STORED)
    shutil.rmtree("data")
    store("disk/data/a.npz", seed=1)
    assert lab("evaluate", run, "--data-root", "disk") == 2
    assert "are not those of the run" in capsys.readouterr().err


def test_a_missing_split_is_no_moved_data(capsys: pytest.CaptureFixture[str]) -> None:
    run = trained()
    assert lab("evaluate", run, "--with", "{ name = 'hits', split = 'val' }") == 2
    told = capsys.readouterr().err
    assert "there is no split 'val'" in told
    assert "--with" in told
    assert "moved" not in told


# Folders and archives of images ----------------------------------------------------------------------

PETS = """
steps = 2
batch_size = 8
trainer = "learner"
evaluate = ["hits"]
[data.train]
name = "image_folder"
path = "pets"
size = 8
test_share = 0.3
[run]
threads = 1
precision = "32"
"""


def draw_pets() -> None:
    draw = np.random.default_rng(0)
    for name, level in (("cat", 60), ("dog", 190)):
        folder = Path("pets") / name
        folder.mkdir(parents=True)
        for i in range(8):
            pixels = np.clip(draw.normal(level, 20, (8, 8, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{i}.png")


def test_the_same_images_have_one_hash_in_a_folder_a_tar_and_a_zip(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAB_PLUGINS", "datasets")
    draw_pets()
    run = trained(recipe=PETS)
    shutil.make_archive("whole", "tar", ".", "pets")
    shutil.make_archive("whole", "zip", ".", "pets")
    shutil.make_archive("inside", "zip", "pets", ".")
    shutil.copytree("pets", "some animals")
    for path in ("whole.tar", "whole.zip", "inside.zip", "some animals"):
        assert lab("evaluate", run, "--set", f"data.train.path='{path}'") == 0, path
    assert list(results(run)["evaluations"]) == ["hits"]
    changed = Path("some animals/cat/0.png")
    pixels = np.asarray(Image.open(changed)).copy()
    pixels[0, 0, 0] ^= 16
    Image.fromarray(pixels).save(changed)
    os.utime(changed, (1, 1))
    capsys.readouterr()
    assert lab("evaluate", run, "--set", "data.train.path='some animals'") == 2
    assert "are not those of the run: their hash was" in capsys.readouterr().err


def test_a_model_predicts_without_its_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_PLUGINS", "datasets,metrics")
    draw_pets()
    run = trained(recipe=PETS)
    Path("others").mkdir()
    shutil.copy("pets/cat/1.png", "others")
    shutil.rmtree("pets")
    assert lab("predict", run, "others") == 0
    assert Path("predictions.csv").read_text().startswith("name,class,probability\n1.png,")
