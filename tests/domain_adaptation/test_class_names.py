"""Classes of source and target are matched by their names, whatever their numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pluglab
from pluglab.cli import main
from pluglab.errors import UserError

RECIPE = {
    "steps": 40,
    "batch_size": 32,
    "trainer": {"name": "source_only", "encoder": {"name": "modern", "width": 8, "dropout": 0.0}},
    "evaluate": ["accuracy"],
    "run": {"device": "cpu", "precision": "32"},
}


def folders(role: str, classes: str, there: str = "abcd") -> dict[str, object]:
    """A bright quarter of the image says the class, its place among 'abcd'. The names may be others."""
    draw = np.random.default_rng(0)
    for name, quarter in zip(classes, map("abcd".index, there), strict=True):
        (Path(role) / name).mkdir(parents=True)
        for i in range(20):
            pixels = np.zeros((16, 16, 3), np.uint8)
            y, x = quarter // 2 * 8, quarter % 2 * 8
            pixels[y : y + 8, x : x + 8] = draw.integers(120, 255)
            Image.fromarray(pixels).save(Path(role) / name / f"{i}.png")
    return {"name": "image_folder", "path": role, "size": 16, "test_share": 0.3}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))


def test_a_target_without_one_of_the_classes_is_read_rightly() -> None:
    """By position a classifier without a mistake would have had 33 %."""
    data = {"source": folders("source", "abcd"), "target": folders("target", "acd", "acd")}
    scalars = pluglab.run({**RECIPE, "data": data}).scalars
    assert scalars["accuracy/source"] == scalars["accuracy/target"] == 100


def test_a_run_says_which_classes_its_target_lacks(capfd: pytest.CaptureFixture[str]) -> None:
    roles = {"source": "abcd", "target": "ac"}
    text = 'steps = 1\nbatch_size = 4\ntrainer = "source_only"\nrun.device = "cpu"\n'
    for role, classes in roles.items():
        folders(role, classes, classes)
        text += f'[data.{role}]\nname = "image_folder"\npath = "{role}"\nsize = 16\ntest_share = 0.3\n'
    Path("partial.toml").write_text(text)
    with pytest.raises(SystemExit):
        main(["run", "partial.toml"])
    told = capfd.readouterr()
    assert "target: no images of the classes b, d" in told.out + told.err


def test_a_class_that_the_source_lacks_is_refused_before_the_training() -> None:
    data = {"source": folders("source", "acd", "acd"), "target": folders("target", "abcd")}
    with pytest.raises(UserError, match="'target' has the classes b, which the labels to learn from lack"):
        pluglab.run({**RECIPE, "data": data})
