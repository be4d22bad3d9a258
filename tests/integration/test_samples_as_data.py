"""What `lab sample` writes is a data set for `image_folder`: the same images, the same classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pluglab.cli import main
from pluglab.observers.console import progress_bar
from pluglab.plugins.loading import load_plugins
from pluglab.protocols import DataContext
from pluglab.recipe.resolve import make
from tests.core.support import TOYS, only_run
from tests.core.test_preparation import GENERATORS

RECIPE = """
steps = 1
trainer = "toy_generator"
data.train = "toy_images"
"""


def test_samples_are_read_back_with_their_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    Path("r.toml").write_text(RECIPE)
    for words in (["run", "r.toml"], ["sample", None, "-n", "20", "--out", "made"]):
        call = [word or str(only_run()) for word in words]
        with pytest.raises(SystemExit) as leave:
            main([*call, "--plugin", str(TOYS), "--plugin", str(GENERATORS)])
        assert not leave.value.code
    options = {"path": "made", "labels": "labels.csv", "size": 8, "channels": 1, "test_share": 0}
    dataset = make(load_plugins(only="datasets").registry, "dataset", "image_folder", **options).build()
    dataset.prepare(DataContext(None, tmp_path / "cache", progress_bar))
    images = dataset.split("train")
    assert images.classes == ("bright", "dark") and len(images) == 20
    for i, (pixels, label) in enumerate(zip(images.pixels, images.labels, strict=True)):
        assert (pixels[0].numpy() == np.asarray(Image.open(f"made/{i:05d}.png"))).all()
        assert images.classes[label] == ("dark", "bright")[i % 2]
