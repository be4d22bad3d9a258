"""`lab score`: a folder of images against a data set, another folder, or statistics of others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pluglab.cli import main
from pluglab.data import to_float, to_uint8
from pluglab.errors import UserError
from pluglab_metrics.saved_statistics import check_fits, read_statistics
from pluglab_metrics.scores.frechet import RunningGaussian, frechet_distance
from tests.core.support import only_run
from tests.metrics.models import Pool

PLUGIN = Path(__file__).parent / "score_plugin.py"
TOYS = Path(__file__).parents[1] / "core" / "toy_plugin.py"
RECIPE = """
steps = 1
batch_size = 8
trainer = "noise"
data.train = { name = "toy_images", count = 90 }
[[evaluate]]
name = "generation_quality"
metrics = ["fid", "kid", "precision_recall"]
feature_extractor = "pool"
n = 130
reference = 50
[run]
threads = 1
precision = "32"
"""

Score = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def _own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_PLUGINS", "metrics")
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))


def lab(*words: str | Path) -> int:
    files = (word for file in (TOYS, PLUGIN) for word in ("--plugin", str(file)))
    with pytest.raises(SystemExit) as leave:
        main([*map(str, words), *files])
    return int(leave.value.code or 0)


@pytest.fixture
def score(capsys: pytest.CaptureFixture[str]) -> Score:
    def call(*words: str | Path) -> dict[str, Any]:
        capsys.readouterr()
        assert lab("score", *words, "--json") == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return call


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    capsys.readouterr()
    assert lab("score", *words) == 2
    return capsys.readouterr().err


def draw(folder: str, count: int = 40, size: int = 8, seed: int = 0, channels: int = 1) -> torch.Tensor:
    """Pictures of noise; their pixels uint8 N x C x H x W."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, channels, size, size), generator=generator).to(torch.uint8)
    Path(folder).mkdir()
    for i, image in enumerate(pixels.permute(0, 2, 3, 1).numpy()):
        Image.fromarray(image[..., 0] if channels == 1 else image).save(f"{folder}/{i:03}.png")
    return pixels


def test_the_scores_are_those_of_generation_quality(score: Score) -> None:
    """To the last digit, with the same protocol, for the images that `lab sample` writes of the same run."""
    Path("r.toml").write_text(RECIPE)
    assert lab("run", "r.toml") == 0
    results = json.loads((only_run() / "results.json").read_text())
    own = results["evaluations"]["generation_quality"]
    classes = only_run() / "figures" / "generation_quality_classes.csv"
    words = ["-n", "130", "--seed", "0", "--batch-size", "100", "--out", "drawn"]
    assert lab("sample", only_run(), *words, *(["--labels", classes] if classes.exists() else [])) == 0
    options = ["--set", "count=90", "--extractor", "pool", "--reference", "50"]
    metrics = ["--metric", "fid", "--metric", "kid", "--metric", "precision_recall"]
    found = score("drawn", "--against", "toy_images", *options, *metrics)
    assert found["scores"] == own["scalars"]
    assert {**found["protocol"], "classes asked for": ""} == {**own["protocol"], "classes asked for": ""}


def test_a_folder_against_a_folder(score: Score) -> None:
    made, real = draw("made"), draw("real", 60, seed=1)
    found = score("made", "--against", "real", "--extractor", "pool", "--metric", "fid")
    gaussians = RunningGaussian(), RunningGaussian()
    for gaussian, pixels in zip(gaussians, (made, real), strict=True):
        gaussian.update(Pool()(pixels).features)
    expected = frechet_distance(gaussians[1].compute(), gaussians[0].compute())
    assert found["scores"] == {"fid_40/pool": pytest.approx(expected, rel=1e-9)}
    assert found["protocol"]["real images"] == "60 of 60: real, train"


def test_real_features_are_kept_by_content(score: Score) -> None:
    draw("made"), draw("real", 60, seed=1)
    seen = []
    for folder in ("real", "real", "again"):
        if folder == "again":
            Path("real").rename("again")
        before = Pool.seen
        score("made", "--against", folder, "--extractor", "pool", "--metric", "fid")
        seen.append(Pool.seen - before)
    assert seen == [100, 40, 40]


def test_class_accuracy_by_a_table_of_labels(score: Score, capsys: pytest.CaptureFixture[str]) -> None:
    """`Labeler` reads flat images; three of four are of the class that the table says."""
    Path("made").mkdir()
    for i, level in enumerate((0, 1, 2, 9)):
        Image.new("L", (8, 8), round(level * 255 / 9)).save(f"made/{i}.png")
    plugin = Path("digits.py")
    plugin.write_text(DIGITS)
    table = Path("labels.csv")
    table.write_text("name,label\n0.png,0\n1.png,1\n2.png,2\n3.png,3\n")
    words = ["--against", "ten", "--extractor", "labeler", "--labels", table, "--plugin", plugin]
    found = score("made", *words, "--metric", "class_accuracy")
    assert found["scores"] == {"class_accuracy_4/labeler": 75.0}
    assert found["protocol"]["classes asked for"] == "those in labels.csv"
    table.write_text("name,label\n0.png,0\n")
    assert "labels.csv names no class of 1.png\n  = it names 1 of 4 images" in refused(capsys, "made", *words)
    table.write_text("name,label\n0.png,zero\n1.png,1\n2.png,2\n3.png,3\n")
    assert "names the class zero, which ten does not have" in refused(capsys, "made", *words)


def test_what_a_recipe_calls_its_extractor_is_the_option_here(capsys: pytest.CaptureFixture[str]) -> None:
    draw("made")
    Path("digits.py").write_text(DIGITS)
    Path("labels.csv").write_text(
        "name,label\n" + "".join(f"{path.name},0\n" for path in Path("made").iterdir())
    )
    words = ["--extractor", "pool", "--labels", "labels.csv", "--metric", "class_accuracy"]
    said = refused(capsys, "made", "--against", "ten", *words, "--plugin", "digits.py")
    assert "--extractor digit_classifier" in said and "feature_extractor" not in said


DIGITS = """
import torch
from pluglab import Images

class Ten:
    def prepare(self, context):
        pass

    def split(self, name):
        pixels = torch.arange(250).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
        return Images(pixels, torch.arange(250) % 10, tuple("0123456789"))

def lab_register(registry):
    registry.add("dataset", "ten", Ten)
"""


def test_what_cannot_be_compared(capsys: pytest.CaptureFixture[str]) -> None:
    draw("made"), draw("real", 60)
    pool = ["--extractor", "pool", "--metric", "fid"]
    assert "nowhere is not a folder" in refused(capsys, "nowhere", "--against", "real", *pool)
    assert "did you mean 'toy_images'?" in refused(capsys, "made", "--against", "toy_image", *pool)
    assert "there is no file x.npz" in refused(capsys, "made", "--against", "x.npz", *pool)
    wrong = ["--against", "toy_images", "--set", "count", *pool]
    assert "--set count: write key=value" in refused(capsys, "made", *wrong)
    Image.new("L", (9, 8)).save("made/other.png")
    said = refused(capsys, "made", "--against", "real", *pool)
    assert "made holds images of several sizes: 8 x 8, 9 x 8\n  = --size N resizes all of them" in said


def test_images_of_another_size_and_damaged_ones_are_told(
    score: Score, capsys: pytest.CaptureFixture[str]
) -> None:
    draw("made", size=6), draw("real", 60)
    Path("made/broken.png").write_bytes(b"no picture")
    words = ["made", "--against", "real", "--extractor", "pool", "--metric", "fid"]
    assert lab("score", *words) == 0
    said = capsys.readouterr().err
    assert "1 of 41 files cannot be read as an image: broken.png" in said
    assert "the real images are 8 x 8 and those of made 6 x 6" in said
    score(*words, "--size", "4")
    assert "the real images are" not in capsys.readouterr().err


# Statistics ------------------------------------------------------------------------------------------


def test_statistics_are_saved_and_read_again(score: Score, capsys: pytest.CaptureFixture[str]) -> None:
    draw("made"), draw("real", 60, seed=1)
    pool = ["--extractor", "pool", "--metric", "fid"]
    whole = score("made", "--against", "real", *pool, "--save", "real.npz")
    again = score("made", "--against", "real.npz", *pool)
    assert again["scores"]["fid_40/pool"] == pytest.approx(whole["scores"]["fid_40/pool"], rel=1e-9)
    assert again["protocol"]["real images"] == "60: real.npz"
    assert "real.npz is there already" in refused(
        capsys, "made", "--against", "real", *pool, "--save", "real.npz"
    )
    other = refused(capsys, "made", "--against", "real.npz", "--extractor", "labeler")
    assert "is of features through the extractor pool-1, and not through labeler-1" in other
    kid = refused(capsys, "made", "--against", "real.npz", "--extractor", "pool", "--metric", "kid")
    assert "kid needs images, and real.npz holds mean and covariance alone" in kid


@pytest.mark.parametrize(
    ("name", "size", "words", "message"),
    [
        ("train.npz", 2048, [], "train.npz does not say how its images were resized"),
        ("x_clean_train_32.npz", 64, [], "is of 64 features, and the network of published scores has 2,048"),
        (
            "x_clean_train_32.npz",
            2048,
            ["--extractor", "pool"],
            "through inception with images resized as clean does, and not through pool-1",
        ),
    ],
)
def test_statistics_of_others_that_do_not_fit(
    capsys: pytest.CaptureFixture[str], name: str, size: int, words: list[str], message: str
) -> None:
    draw("made")
    np.savez(name, mu=np.zeros(size), sigma=np.eye(size, dtype=np.float32))
    assert message in refused(capsys, "made", "--against", name, *words)


def test_statistics_of_others_fit_where_images_were_resized_alike(tmp_path: Path, build: Any) -> None:
    def fits(name: str, resizing: str, resized: Any = None) -> bool:
        np.savez(name, mu=np.zeros(2048), sigma=np.eye(2048, dtype=np.float32))
        try:
            check_fits(
                read_statistics(Path(name), resized),
                build("feature_extractor", "inception", resizing=resizing),
            )
        except UserError:
            return False
        return True

    assert fits("cifar10_clean_train_32.npz", "clean") and not fits("x_clean_train_32.npz", "tensorflow")
    assert fits("cifar10_legacy_pytorch_train_32.npz", "pytorch")
    assert fits("cifar10_legacy_tensorflow_train_32.npz", "tensorflow")
    assert fits("mine.npz", "pytorch", "pytorch") and not fits("mine.npz", "tensorflow", "pytorch")
    assert not fits("mine.npz", "pytorch")


def test_a_file_that_holds_no_statistics(capsys: pytest.CaptureFixture[str]) -> None:
    draw("made")
    np.savez("a.npz", feats=np.zeros((5, 2048)))
    assert "holds no `mu` of d numbers and `sigma` of d x d\n  = it holds feats" in refused(
        capsys, "made", "--against", "a.npz"
    )
    Path("a.npz").write_bytes(b"nothing")
    assert "a.npz cannot be read as statistics" in refused(capsys, "made", "--against", "a.npz")


def test_eight_bits_survive_the_way_through_floats() -> None:
    levels = torch.arange(256).to(torch.uint8)
    assert torch.equal(to_uint8(to_float(levels)), levels)
