"""What the variants of an experiment drew, side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pluglab.experiments.summary import MARGIN, TITLE_SIZE, side_by_side, write_gallery
from pluglab.storage.run_folder import RunFolder
from tests.core.support import RECIPE, Lab, only_run

TOP = 2 * MARGIN + TITLE_SIZE
COLOURS = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255), "grey": (128, 128, 128)}


def picture(path: Path, colour: str, size: tuple[int, int] = (300, 200)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, COLOURS[colour]).save(path)
    return path


def test_pictures_are_whole_each_under_its_title(tmp_path: Path) -> None:
    page = np.asarray(side_by_side({name: picture(tmp_path / f"{name}.png", name) for name in COLOURS}))
    assert page.shape == (2 * (200 + MARGIN + TOP - MARGIN) + MARGIN, 2 * (300 + MARGIN) + MARGIN, 3)
    for index, (name, colour) in enumerate(COLOURS.items()):
        top, left = index // 2 * (200 + TOP), MARGIN + index % 2 * (300 + MARGIN)
        assert (page[top + TOP : top + TOP + 200, left : left + 300] == colour).all(), name
        assert (page[top + MARGIN : top + TOP, left : left + 300] < 128).any(), f"no title over {name}"
    assert (page[:MARGIN] == 255).all() and (page[-MARGIN:] == 255).all()


def test_a_title_wider_than_its_picture_is_not_cut(tmp_path: Path) -> None:
    small = {title: picture(tmp_path / f"{title[:1]}.png", "red", (20, 20)) for title in ("a" * 40, "b")}
    page = np.asarray(side_by_side(small))
    assert (page[:, -MARGIN:] == 255).all()
    long = np.asarray(side_by_side({"a" * 40: small["a" * 40]}))
    assert page.shape[1] > 400 and (long[:, -MARGIN:] == 255).all()


@pytest.mark.parametrize(
    ("count", "size", "grid"), [(2, (900, 300), (1, 2)), (3, (300, 300), (1, 3)), (6, (300, 300), (2, 3))]
)
def test_a_page_is_wide_and_full(
    count: int, size: tuple[int, int], grid: tuple[int, int], tmp_path: Path
) -> None:
    pictures = {str(i): picture(tmp_path / f"{i}.png", "blue", size) for i in range(count)}
    width, height = side_by_side(pictures).size
    assert (height // size[1], width // size[0]) == grid


def run_with(folder: Path, **figures: str) -> RunFolder:
    for name, colour in figures.items():
        picture(folder / "figures" / name.replace("__", "/"), colour)
    return RunFolder(folder)


def test_only_what_runs_share_is_shown_and_of_the_selected_step(tmp_path: Path) -> None:
    one = run_with(
        tmp_path / "a", **{"samples.png": "red", "own.png": "grey", "selected__samples.png": "green"}
    )
    two = run_with(tmp_path / "b", **{"samples.png": "blue", "own.png": "red", "step_1__x.png": "red"})
    assert write_gallery({"a": one, "b": two}, tmp_path / "out") == [tmp_path / "out" / "samples.png"]
    with Image.open(tmp_path / "out" / "samples.png") as file:
        colours = {colour for _, colour in file.getcolors(100_000) or ()}
    assert COLOURS["green"] in colours and COLOURS["blue"] in colours and COLOURS["red"] not in colours
    assert write_gallery({"a": one}, tmp_path / "single") == [] and not (tmp_path / "single").exists()


def test_an_experiment_has_its_variants_side_by_side(
    lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe.write_text(f"seeds = [0, 1]{RECIPE}[variants.wide]\n[variants.narrow.trainer]\nwidth = 2\n")
    assert lab("run", recipe, "--set", "steps=8") == 0
    page = only_run() / "figures" / "toy_confidence_bar.png"
    with Image.open(page) as file:
        assert file.width > 2 * 40 and file.height >= 100 + TOP
    out = capsys.readouterr().out
    assert str(page) in out and f"{only_run()}/*/figures/" in out
    assert out.count("toy_confidence_bar.png") == 1


def test_a_single_run_has_no_page(lab: Lab, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("run", recipe, "--set", "steps=8") == 0
    assert f"{only_run()}/figures/toy_confidence_bar.png" in capsys.readouterr().out
