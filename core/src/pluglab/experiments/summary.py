"""The pictures of an experiment: what each variant drew, side by side on one page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from pluglab.figures import WHITE
from pluglab.storage.run_folder import RunFolder

TITLE_SIZE, MARGIN = 26, 12  # pixels
PAGE = 1.5  # width to height that a page comes near to


def reported_figures(run: RunFolder) -> dict[str, Path]:
    """The pictures that belong to the run's results, by file name: the selected step's, or the last's."""
    figures = run.path / "figures"
    folder = figures / "selected" if (figures / "selected").is_dir() else figures
    return {path.name: path for path in sorted(folder.glob("*.*")) if path.is_file()}


def write_gallery(runs: Mapping[str, RunFolder], folder: Path) -> list[Path]:
    """A page for each still picture that several runs have in common, under its name in `folder`.

    `runs` holds a run for each title. Returns the pages, none for fewer than two runs.
    """
    figures = {title: reported_figures(run) for title, run in runs.items()}
    names = dict.fromkeys(name for found in figures.values() for name in found if name.endswith(".png"))
    pages = []
    for name in names:
        drawn = {title: found[name] for title, found in figures.items() if name in found}
        if len(drawn) > 1:
            folder.mkdir(parents=True, exist_ok=True)
            side_by_side(drawn).save(folder / name)
            pages.append(folder / name)
    return pages


def side_by_side(pictures: Mapping[str, Path]) -> Image.Image:
    """Pictures in rows, each under its title."""
    images = []
    for path in pictures.values():
        with Image.open(path) as file:
            images.append(file.convert("RGB"))
    font = ImageFont.load_default(TITLE_SIZE)
    titles = [math.ceil(font.getlength(title)) for title in pictures]
    width = max(*titles, *(image.width for image in images)) + MARGIN
    height = max(image.height for image in images) + MARGIN + TITLE_SIZE + MARGIN
    columns = _columns(len(images), width / height)
    rows = -(-len(images) // columns)
    page = Image.new("RGB", (columns * width + MARGIN, rows * height + MARGIN), WHITE)
    pen = ImageDraw.Draw(page)
    for index, (title, image) in enumerate(zip(pictures, images, strict=True)):
        left, top = MARGIN + index % columns * width, MARGIN + index // columns * height
        pen.text((left, top), title, "black", font)
        page.paste(image, (left, top + TITLE_SIZE + MARGIN))
    return page


def _columns(count: int, shape: float) -> int:
    """How many cells of a width-to-height `shape` go in a row: few empty ones, the page as wide as `PAGE`.

    Two are always beside each other.
    """

    def waste(columns: int) -> float:
        rows = -(-count // columns)
        return abs(math.log(columns * shape / rows / PAGE)) + (rows * columns - count) / count

    return min(range(min(2, count), count + 1), key=waste)


def of_one_seed(runs: Sequence[tuple[str, RunFolder]]) -> dict[str, RunFolder]:
    """The first finished run of each variant, by its name."""
    chosen: dict[str, RunFolder] = {}
    for title, run in runs:
        if run.results():
            chosen.setdefault(title, run)
    return chosen
