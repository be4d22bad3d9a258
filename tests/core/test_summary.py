"""What the variants of an experiment drew, side by side."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from pluglab.experiments.summary import write_gallery
from pluglab.storage.run_folder import RunFolder
from tests.core.support import RECIPE, Lab, only_run

COLORS = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255), "gray": (128, 128, 128)}


def picture(path: Path, color: str, size: tuple[int, int] = (300, 200)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, COLORS[color]).save(path)
    return path


def run_with(folder: Path, **figures: str) -> RunFolder:
    for name, color in figures.items():
        picture(folder / "figures" / name.replace("__", "/"), color)
    return RunFolder(folder)


def test_only_what_runs_share_is_shown_and_of_the_selected_step(tmp_path: Path) -> None:
    """And only what stands still."""
    film = {"film.gif": "red", "selected__film.gif": "red"}
    own = {"samples.png": "red", "own.png": "gray", "selected__samples.png": "green"}
    one = run_with(tmp_path / "a", **own, **film)
    own = {"samples.png": "blue", "own.png": "red", "step_1__x.png": "red", "film.gif": "red"}
    two = run_with(tmp_path / "b", **own)
    assert write_gallery({"a": one, "b": two}, tmp_path / "out") == [tmp_path / "out" / "samples.png"]
    with Image.open(tmp_path / "out" / "samples.png") as file:
        colors = {color for _, color in file.getcolors(100_000) or ()}
    assert COLORS["green"] in colors and COLORS["blue"] in colors and COLORS["red"] not in colors
    assert write_gallery({"a": one}, tmp_path / "single") == [] and not (tmp_path / "single").exists()


def test_an_experiment_has_its_variants_side_by_side(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe.write_text(f"seeds = [0, 1]{RECIPE}[variants.wide]\n[variants.narrow.trainer]\nwidth = 2\n")
    assert lab("run", recipe, "--set", "steps=8") == 0
    page = only_run() / "figures" / "toy_confidence_bar.png"
    with Image.open(page) as file:
        assert file.width > 2 * 40 and file.height >= 100 + 50  # a title and its margins are 50
    assert f"results: {only_run()}\n" in capsys.readouterr().out


def test_a_single_run_has_no_page(lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("run", recipe, "--set", "steps=8") == 0
    assert f"results: {only_run()}\n" in capsys.readouterr().out
    assert [path.name for path in only_run().glob("figures/*.png")] == ["toy_confidence_bar.png"]
