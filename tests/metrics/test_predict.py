"""`lab predict`: a table of classes for a folder of images of any kind."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pluglab.cli import main
from pluglab.data.image_files import read_picture
from pluglab.errors import UserError
from pluglab.images import ImageSpec
from tests.core.support import TOYS, Lab, only_run
from tests.core.test_preparation import GENERATORS

RECIPE = """
steps = 1
batch_size = 8
trainer = "brightness"
transforms = ["jitter"]
[data.source]
name = "toy_images"
[data.target]
name = "toy_images"
transforms = ["jitter", "invert"]
[run]
threads = 1
precision = "32"
"""

Predict = Callable[..., int]


@pytest.fixture(autouse=True)
def _own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_PLUGINS", "metrics")
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def lab() -> Lab:
    """`lab WORDS...` in this process, with the toys; returns its exit code."""

    def call(*words: str | Path) -> int:
        with pytest.raises(SystemExit) as leave:
            main([*map(str, words), "--plugin", str(TOYS)])
        return int(leave.value.code or 0)

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Flat gray images, of a name that says how light they are, in many formats and modes."""
    folder = tmp_path / "images"
    (folder / "deep").mkdir(parents=True)

    def flat(mode: str, color: object, size: tuple[int, int] = (8, 8)) -> Image.Image:
        return Image.new(mode, size, color)  # type: ignore[arg-type]

    flat("L", 51).save(folder / "051.png")
    flat("RGB", (204, 204, 204), (20, 11)).save(folder / "204.png")
    flat("RGBA", (0, 0, 0, 0)).save(folder / "255.webp", lossless=True)
    flat("P", 0).save(folder / "000.gif")
    flat("LA", (0, 51)).save(folder / "deep" / "204 through.png")  # four fifths of the white behind
    Image.fromarray(np.full((8, 8), 51 * 257, np.uint16)).save(folder / "deep" / "051.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    (folder / "notes.txt").write_text("no picture either")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


@pytest.fixture
def predict(lab: Lab, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Predict:
    (tmp_path / "r.toml").write_text(RECIPE)
    assert lab("run", "r.toml", "--plugin", GENERATORS) == 0
    capsys.readouterr()

    def call(*words: str | Path, of: Path = folder) -> int:
        return lab("predict", only_run(), of, *words, "--plugin", GENERATORS)

    return call


def table(path: str) -> dict[str, tuple[str, float]]:
    with Path(path).open(newline="") as file:
        return {row["name"]: (row["class"], float(row["probability"])) for row in csv.DictReader(file)}


@pytest.mark.parametrize(("role", "sign"), [("source", 1), ("target", -1)])
def test_every_image_has_its_class_and_probability(
    predict: Predict, capsys: pytest.CaptureFixture[str], role: str, sign: int
) -> None:
    assert predict("--role", role, "--batch-size", "4", "--out", "found.csv") == 0
    output = capsys.readouterr()
    assert output.out == "6 images: found.csv\n"
    assert "warning: 1 of 7 files cannot be read as an image: broken.jpg" in output.err
    found = table("found.csv")
    assert list(found) == [
        *("000.gif", "051.png", "204.png", "255.webp", "deep/051.png", "deep/204 through.png")
    ]
    for name, (guess, probability) in found.items():
        level = sign * (int(Path(name).stem[:3]) / 127.5 - 1)
        assert guess == ("bright" if level > 0 else "dark")
        assert probability == pytest.approx(torch.tensor(2 * abs(level)).sigmoid().item(), abs=1e-3)


def test_links_are_followed_and_hidden_copies_are_not_images(
    predict: Predict, folder: Path, tmp_path: Path
) -> None:
    for name in (".cache/051.png", "__MACOSX/051.png", "deep/._051.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes((folder / "051.png").read_bytes())
    folder.rename(tmp_path / "far")
    folder.mkdir()
    (folder / "linked").symlink_to(tmp_path / "far", target_is_directory=True)
    (tmp_path / "far" / "up").symlink_to(tmp_path / "far", target_is_directory=True)
    Image.new("L", (8, 8), 204).save(folder / "204.tif")
    assert predict("--role", "source") == 0
    assert list(table("predictions.csv")) == [
        *("204.tif", "linked/000.gif", "linked/051.png", "linked/204.png", "linked/255.webp"),
        *("linked/deep/051.png", "linked/deep/204 through.png"),
    ]


def test_a_role_must_be_named_where_there_are_several(
    predict: Predict, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict() == 2
    said = capsys.readouterr().err
    assert "'brightness' reads source and target: which are the images like?\n  = write --role source" in said
    assert predict("--role", "taget") == 2
    assert "has no role 'taget'\n  = did you mean 'target'?" in capsys.readouterr().err
    assert not Path("predictions.csv").exists()


def test_a_table_is_not_lost(predict: Predict, capsys: pytest.CaptureFixture[str]) -> None:
    Path("predictions.csv").write_text("mine")
    assert predict("--role", "source") == 2
    assert "predictions.csv is there already" in capsys.readouterr().err
    assert Path("predictions.csv").read_text() == "mine"
    assert predict("--role", "source", "--overwrite") == 0
    assert len(table("predictions.csv")) == 6


@pytest.mark.parametrize(
    ("name", "message"),
    [("nowhere", "nowhere is not a folder"), ("empty", "holds no images"), ("bad", "no image in")],
)
def test_folders_without_images(
    predict: Predict, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.png").write_bytes(b"no picture")
    assert predict("--role", "source", of=tmp_path / name) == 2
    assert message in capsys.readouterr().err
    assert not Path("predictions.csv").exists()


def test_a_model_that_does_not_classify(
    lab: Lab, predict: Predict, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--set", "trainer.name=toy_other", "--run-dir", "other", "--plugin", GENERATORS]
    assert lab("run", "r.toml", *words) == 0
    assert lab("predict", only_run(Path("other")), folder, "--plugin", GENERATORS) == 2
    assert "needs a trainer that can classify images; 'toy_other' cannot" in capsys.readouterr().err


def test_the_center_of_a_wide_picture_is_taken(tmp_path: Path) -> None:
    pixels = np.zeros((10, 30), np.uint8)
    pixels[:, 10:20] = 200
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    assert (read_picture(tmp_path / "wide.png", ImageSpec(1, 5, 5, 1))[0, :, 1:4] > 190).all()
    assert read_picture(tmp_path / "wide.png", ImageSpec(3, 10, 20, 1)).shape == (3, 10, 20)
    with pytest.raises(UserError, match="one channel or three, and these images have 4"):
        read_picture(tmp_path / "wide.png", ImageSpec(4, 10, 20, 1))


# Judged ----------------------------------------------------------------------------------------------

LABELS = "name,label\n000.gif,dark\n051.png,dark\n204.png,dark\n255.webp,bright\ndeep/051.png,bright\n"


def test_labels_judge_the_predictions(
    predict: Predict, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Right are 000.gif, 051.png and 255.webp; '204.png' and 'deep/051.png' are not what the labels say."""
    Path("labels.csv").write_text(LABELS)
    assert predict("--role", "source", "--labels", "labels.csv", "--out", "found.csv") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "accuracy: 60.00 % of 5 images (1 others have no label)"
    assert said[2] == "  dark: 66.67 % of 3, most often taken for bright"
    assert said[3] == "  bright: 50.00 % of 2, most often taken for dark"
    assert said[-1] == "6 images: found.csv"
    with Path("found.csv").open(newline="") as file:
        assert [row["true_class"] for row in csv.DictReader(file)] == [
            *("dark", "dark", "dark", "bright", "bright", ""),
        ]
    assert Path("found_confusion.csv").read_text() == "true class,dark,bright\ndark,2,1\nbright,1,1\n"
    assert Path("found_classes.csv").read_text().splitlines()[1] == "dark,66.67,3,bright"
    for name in ("confusion", "calibration"):
        with Image.open(f"found_{name}.png") as picture:
            assert min(picture.size) > 300


def test_a_judgement_as_numbers(predict: Predict, capsys: pytest.CaptureFixture[str]) -> None:
    """The calibration error: each image is in a bin of its own or beside its like, so it is the mean gap."""
    Path("labels.csv").write_text(LABELS)
    assert predict("--role", "source", "--labels", "labels.csv", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["images"], found["judged"], found["accuracy"]) == (6, 5, 60.0)
    sure = {level: torch.tensor(2 * abs(level / 127.5 - 1)).sigmoid().item() for level in (0, 51, 204, 255)}
    # 51 and 204 are equally sure (0.769), and so are 0 and 255 (0.881): two bins
    gap = abs(1 / 3 - (2 * sure[51] + sure[204]) / 3) * 3 / 5 + (1 - sure[0]) * 2 / 5
    assert found["calibration_error"] == pytest.approx(100 * gap, abs=1e-3)
    assert found["by_class"][0] == {
        "class": "dark",
        "accuracy (%)": 66.67,
        "images": 3,
        "most often taken for": "bright",
    }
    assert all(Path(file).is_file() for file in found["files"])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("name,label\n051.png,gray\n", "labels images as gray, and the model knows no such class"),
        ("name,label\nnowhere.png,dark\n", "names images that are not there (1): nowhere.png"),
        ("name,label\nbroken.jpg,dark\n", "labels no image that can be read"),
        ("", "labels.csv names no image"),
        (None, "there is no table of labels 'labels.csv'"),
    ],
)
def test_labels_that_do_not_fit(
    predict: Predict, capsys: pytest.CaptureFixture[str], table: str | None, message: str
) -> None:
    if table is not None:
        Path("labels.csv").write_text(table)
    assert predict("--role", "source", "--labels", "labels.csv") == 2
    assert message in capsys.readouterr().err
    assert not Path("predictions.csv").exists()
