"""`lab sample`: the images, their names and labels, the options of sampling, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pluglab.cli.sample import requested_labels
from pluglab.data.image_files import PngFolder
from pluglab.errors import RunError, UserError
from pluglab.trained import class_number
from tests.core.support import Lab, only_run
from tests.core.test_preparation import GENERATORS

RECIPE = """
steps = 6
batch_size = 8
checkpoint_every = 3
[trainer]
name = "toy_generator"
[data.train]
name = "toy_images"
[run]
threads = 1
precision = "32"
"""

Sample = Callable[..., int]
Pictures = dict[str, np.ndarray]


@pytest.fixture
def run(lab: Lab, tmp_path: Path) -> Path:
    (tmp_path / "r.toml").write_text(RECIPE)
    assert lab("run", "r.toml", "--plugin", GENERATORS) == 0
    return only_run()


@pytest.fixture
def sample(lab: Lab, run: Path, capsys: pytest.CaptureFixture[str]) -> Sample:
    capsys.readouterr()

    def call(*words: str | Path, out: str = "out", of: Path = run) -> int:
        return lab("sample", of, "--out", out, *words, "--plugin", GENERATORS)

    return call


def pictures(folder: str) -> Pictures:
    return {path.name: np.asarray(Image.open(path)) for path in sorted(Path(folder).glob("*.png"))}


def same(one: Pictures, other: Pictures) -> bool:
    return one.keys() == other.keys() and all((one[k] == other[k]).all() for k in one)


# What it writes -------------------------------------------------------------------------------------


def test_numbered_images_of_the_classes_in_turn(sample: Sample, capsys: pytest.CaptureFixture[str]) -> None:
    assert sample("-n", "12", "--batch-size", "5") == 0
    output = capsys.readouterr()
    assert output.out.startswith("12 images in ") and output.out.endswith(" images/s: out\n")
    assert "sampling: 0 of 12" in output.err and "sampling: done" in output.err
    made = pictures("out")
    assert list(made) == [f"{i:05d}.png" for i in range(12)]
    assert {image.shape for image in made.values()} == {(8, 8)}
    lines = Path("out/labels.csv").read_text().splitlines()
    assert lines == ["name,label", *(f"{i:05d}.png,{('dark', 'bright')[i % 2]}" for i in range(12))]
    tops = np.stack(list(made.values()))[:, 0]
    assert (tops == np.where(np.arange(8) == np.arange(12)[:, None] % 2, 255, 0)).all()


def test_the_same_seed_gives_the_same_images(sample: Sample) -> None:
    for out, words in (
        ("a", []),
        ("b", []),
        ("seed", ["--seed", "1"]),
        ("size", ["--batch-size", "3"]),
        ("prefix", ["-n", "6"]),
    ):
        assert sample("-n", "11", "--batch-size", "6", *words, out=out) == 0
    a = pictures("a")
    assert same(a, pictures("b"))
    assert not same(a, pictures("seed")) and not same(a, pictures("size"))
    assert same(pictures("prefix"), {name: a[name] for name in list(a)[:6]})
    assert len({image.tobytes() for image in a.values()}) == 11  # no batch repeats another's noise


def test_the_reported_or_the_chosen_checkpoint(sample: Sample) -> None:
    for out, step, words in (("last", 6, []), ("first", 3, ["--checkpoint", "3"])):
        assert sample("-n", "1", *words, out=out) == 0
        (image,) = pictures(out).values()
        assert image[1, 3] == round((step / 100 + 1) * 127.5)


@pytest.mark.parametrize("listed", ["1", "bright", "bright,bright"])
def test_classes_asked_for_by_name_or_number(sample: Sample, listed: str) -> None:
    assert sample("-n", "3", "--labels", listed) == 0
    assert all(image[0, 1] == 255 and image[0, 0] == 0 for image in pictures("out").values())


def test_a_class_called_by_a_number_is_meant_by_that_name() -> None:
    """SVHN's own labels, or classes that begin with 1: '1' is not the second of 1, 2, 3, and '0' is none."""
    names = ("1", "2", "3")
    found = requested_labels("1,2,3", 3, names)
    assert found is not None and found.tolist() == [0, 1, 2]
    with pytest.raises(UserError, match="there is no class '0'") as caught:
        requested_labels("0,1,2", 3, names)
    assert caught.value.help == ("classes: 1, 2, 3",)
    assert [class_number(i, names) for i in range(3)] == [0, 1, 2]  # in Python a number is a place
    with pytest.raises(UserError, match="there is no class '3'"):
        class_number(3, names)
    assert class_number("1", ("cat", "dog")) == 1


def test_a_class_whose_name_has_a_comma() -> None:
    names = ("cat, small", "dog", "balanced")
    for words, expected in (
        ("cat, small", [0, 0, 0]),
        ('"cat, small",dog', [0, 1, 0]),
        ('dog, "cat, small"', [1, 0, 1]),
        ("balanced", [2, 2, 2]),
        ("0, 1", [0, 1, 0]),
    ):
        found = requested_labels(words, 3, names)
        assert found is not None and found.tolist() == expected, words


def test_an_unconditional_model_has_no_labels(
    lab: Lab, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--set", "trainer.conditional=false", "--run-dir", "other", "--plugin", GENERATORS]
    assert lab("run", "r.toml", *words) == 0
    other = only_run(Path("other"))
    assert sample("-n", "3", of=other) == 0
    assert [path.name for path in sorted(Path("out").iterdir())] == ["00000.png", "00001.png", "00002.png"]
    for listed in ("0", "balanced"):
        capsys.readouterr()
        assert sample("--labels", listed, out="no", of=other) == 2
        assert "the model is unconditional" in capsys.readouterr().err
    assert not Path("no").exists()


def test_options_of_sampling_are_replaced(sample: Sample) -> None:
    assert sample("-n", "2") == 0
    before = pictures("out")["00000.png"]
    assert (before[2:4] == 0).all() and before[4:].any()
    bright = ["--sampler", "bright", "--steps", "2", "--set", "sampler.light=0.25"]
    assert sample("-n", "2", *bright, out="more") == 0
    after = pictures("more")["00000.png"]
    assert after[2:4].any()
    assert after[1, 3] == round((0.06 + 0.25 + 1) * 127.5)
    assert sample("-n", "2", "--set", "sampler={name='bright', light=0.25}", "--steps", "2", out="same") == 0
    assert same(pictures("more"), pictures("same"))


def test_options_of_the_machine_are_told_from_those_of_sampling(
    sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sample("-n", "2", "--set", "run.threads=2", "--set", "steps=2") == 0
    assert pictures("out")["00000.png"][2:4].any()
    assert sample("-n", "2", "--set", "run.thread=1", out="no") == 2
    said = capsys.readouterr().err
    assert "error: unknown option 'thread' for [run]\n --> --set run.thread=1:1\n" in said
    assert not Path("no").exists()


def test_one_picture_of_the_first_hundred(sample: Sample) -> None:
    assert sample("-n", "105", "--batch-size", "40", "--grid", "sheets/all.png") == 0
    sheet, factor = np.asarray(Image.open("sheets/all.png")), 9  # 720 / (10 x 8)
    assert sheet.shape == (10 * (8 * factor + 2) + 2, 10 * (8 * factor + 2) + 2, 3)
    last = sheet[-2 - 8 * factor : -2 : factor, -2 - 8 * factor : -2 : factor, 0]
    assert (last == pictures("out")["00099.png"]).all()


def test_the_data_is_not_needed(sample: Sample, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pluglab.data.run_data import DatasetCache

    def gone(*args: object) -> None:
        raise AssertionError("the data were read")

    with monkeypatch.context() as patch:
        patch.setattr(DatasetCache, "split", gone)
        assert sample("-n", "2") == 0
    facts = json.loads((run / "run.json").read_text())
    del facts["specs"]  # as of an extended run that has not gone on yet
    (run / "run.json").write_text(json.dumps(facts))
    assert sample("-n", "2", out="again") == 0
    assert same(pictures("out"), pictures("again"))


# What it refuses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--labels", "0,2"),
            "error: there is no class '2'\n  = classes: dark, bright\n",
        ),
        (("--labels", "drak"), "= did you mean 'dark'?"),
        (("--steps", "0"), "--> --steps 0:1\n  |\n1 | steps = 0\n  |         ^ should be greater"),
        (("--set", "stepz=3"), "unknown option 'stepz' for sampling from 'toy_generator'"),
        (("--set", "stepz=3"), "did you mean 'steps'?\n  = known: sampler, steps\n"),
        (
            ("--guidance", "2"),
            "unknown option 'guidance' for sampling from 'toy_generator'\n --> --guidance 2.0",
        ),
        (("--sampler", "birght"), "unknown toy_sampler 'birght'"),
        (("--sampler", "🎲"), "unknown toy_sampler '🎲'"),
        (
            ("--sampler", "plain", "--set", "sampler.light=1"),
            "unknown option 'light' for toy_sampler 'plain'",
        ),
        (("--set", "steps"), "--set steps: write key=value"),
        (("--steps", "9"), "error: 9 steps are more than 8 rows\n"),
        (("--checkpoint", "5"), "has no whole checkpoint of step 5; there are: 3, 6"),
        (("-n", "0"), "Invalid value for '--number'"),
    ],
)
def test_what_cannot_be_asked(
    sample: Sample, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    assert sample(*words) == 2
    assert message in capsys.readouterr().err
    assert not Path("out").exists()


def test_a_folder_in_use_is_left_alone(sample: Sample, capsys: pytest.CaptureFixture[str]) -> None:
    assert sample("-n", "4") == 0
    Path("out/notes.txt").write_text("mine")
    before = pictures("out")
    assert sample("-n", "2", "--seed", "1") == 2
    assert "out is not empty\n  = name another folder, or give --overwrite" in capsys.readouterr().err
    assert same(before, pictures("out"))
    assert sample("-n", "2", "--seed", "1", "--overwrite") == 0
    names = ["00000.png", "00001.png", "labels.csv", "notes.txt"]
    assert [path.name for path in sorted(Path("out").iterdir())] == names
    assert sample("-n", "2", out="out/notes.txt") == 2


def test_options_of_a_trainer_that_has_none(
    lab: Lab, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--set", "trainer.options=false", "--run-dir", "other", "--plugin", GENERATORS]
    assert lab("run", "r.toml", *words) == 0
    assert sample("-n", "1", of=only_run(Path("other"))) == 0
    assert sample("--steps", "3", out="no", of=only_run(Path("other"))) == 2
    said = capsys.readouterr().err
    assert "trainer 'toy_generator' has no options of sampling\n  = leave out: --steps 3" in said


def test_a_trainer_that_cannot_sample(lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("run", recipe, "--set", "steps=2") == 0
    assert lab("sample", only_run(), "--out", "out") == 2
    said = capsys.readouterr().err
    message = "error: this command needs a trainer that can sample images; 'toy' cannot\n"
    assert message + "  = a trainer can sample images if it has sample()" in said


def test_an_experiment_of_several_runs(lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text("seeds = [0, 1]\n" + RECIPE)
    assert lab("run", "r.toml", "--plugin", GENERATORS) == 0
    assert lab("sample", only_run(), "--out", "out", "--plugin", GENERATORS) == 2
    said = capsys.readouterr().err
    assert "holds 2 runs" in said and f"{only_run()}/seed1" in said


def test_a_checkpoint_of_another_run(sample: Sample, lab: Lab, run: Path) -> None:
    words = ["--set", "batch_size=4", "--run-dir", "other", "--plugin", GENERATORS]
    assert lab("run", "r.toml", *words) == 0
    shutil.rmtree(run / "checkpoints")
    shutil.copytree(only_run(Path("other")) / "checkpoints", run / "checkpoints")
    assert sample("-n", "1") == 2
    assert not Path("out").exists()


# The threads that write ------------------------------------------------------------------------------


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Image.Image, path: object, *rest: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    images = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    with pytest.raises(RunError, match="No space left"), PngFolder(tmp_path / "out") as folder:
        for _ in range(20):
            folder.write(["a.png", "b.png"], images)


def test_few_batches_wait_to_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    with PngFolder(tmp_path / "out", workers=1, ahead=3) as folder:
        for i in range(12):
            folder.write([f"{i}.png"], torch.full((1, 1, 64, 64), i, dtype=torch.uint8))
            held.append(len(folder._waiting))
    assert max(held) == 3
    assert [int(np.asarray(Image.open(tmp_path / "out" / f"{i}.png")).max()) for i in range(12)] == [
        *range(12)
    ]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_as_many_channels_as_a_png_file_has_are_written(tmp_path: Path, channels: int) -> None:
    pixels = torch.arange(channels * 12, dtype=torch.uint8).view(1, channels, 3, 4)
    with PngFolder(tmp_path) as folder:
        folder.write(["0.png"], pixels)
    written = np.asarray(Image.open(tmp_path / "0.png")).reshape(3, 4, channels)
    assert np.array_equal(written, pixels[0].permute(1, 2, 0))


def test_more_channels_than_that_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at most 4 channels"), PngFolder(tmp_path) as folder:
        folder.write(["0.png"], torch.zeros(1, 5, 3, 4, dtype=torch.uint8))
