"""What evaluators have shown and scored of a run is what `lab sample` makes with the run's seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pluglab.cli import main
from pluglab.figures import image_grid
from tests.core.support import only_run

RECIPE = """
steps = 2
seeds = [3]
batch_size = 8
trainer = { name = "acgan", width = 8 }
data.train = "digits"
evaluate = ["sample_grid", { name = "sample_grid", as = "again" }, { name = "sliced_wasserstein", n = 32 }]
run.precision = "32"
run.threads = 1
"""


def lab(*words: str | Path) -> None:
    with pytest.raises(SystemExit) as leave:
        main([str(word) for word in words])
    assert not leave.value.code


def pictures(folder: Path) -> torch.Tensor:
    arrays = [np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))]
    return torch.tensor(np.stack(arrays)).unsqueeze(1)


def test_a_grid_is_what_lab_sample_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    Path("r.toml").write_text(RECIPE)
    lab("run", "r.toml")
    figures = only_run() / "figures"
    shown = np.asarray(Image.open(figures / "sample_grid_samples.png"))
    assert (shown == np.asarray(Image.open(figures / "again_samples.png"))).all()
    lab("sample", only_run(), "-n", "32", "--seed", "3", "--out", "same")
    assert (image_grid(pictures(Path("same")), 8) == shown).all()
    lab("sample", only_run(), "-n", "32", "--seed", "4", "--out", "other")
    assert not torch.equal(pictures(Path("same")), pictures(Path("other")))
    scored = figures / "sliced_wasserstein_classes.csv"
    lab("sample", only_run(), "-n", "32", "--seed", "3", "--labels", scored, "--out", "scored")
    asked = [line.partition(",")[2] for line in Path("scored/labels.csv").read_text().splitlines()]
    assert asked == scored.read_text().splitlines()
