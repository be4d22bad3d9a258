"""Sheets of images with words around them, films that can be watched, and what is kept of a figure."""

from __future__ import annotations

import io
import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from pluglab.figures import encode_gif, html_image, image_grid, image_rows, save_figure, side_by_side
from pluglab.protocols import Figure
from pluglab.style import colors_of

MARGIN, TITLE = 12, 26  # around and above the pictures of a page
TOP = 2 * MARGIN + TITLE
COLORS = {
    "red": (255, 0, 0),
    "green": (0, 128, 0),
    "blue": (0, 0, 255),
    "gray": (128, 128, 128),
    "gold": (255, 215, 0),
}


def test_a_sheet_holds_every_image_in_order_on_white() -> None:
    images = torch.arange(5, dtype=torch.uint8).mul(40).view(5, 1, 1, 1).expand(5, 3, 4, 6)
    page = image_grid(images, columns=3, width=30)  # 18 pixels a row, enlarged twice
    assert page.shape == (2 + 2 * (8 + 2), 2 + 3 * (12 + 2), 3)
    for index in range(5):
        top, left = 2 + 10 * (index // 3), 2 + 14 * (index % 3)
        assert (page[top : top + 8, left : left + 12] == 40 * index).all()
    assert (page[12:, 30:] == 255).all() and (page[:2] == 255).all() and (page[10:12] == 255).all()


@pytest.mark.parametrize("channels", [2, 4, 5])
def test_channels_that_are_no_colors_stand_side_by_side(channels: int) -> None:
    images = torch.arange(2 * channels * 3 * 5, dtype=torch.uint8).view(2, channels, 3, 5)
    page = image_grid(images, columns=2, width=1)
    assert page.shape == (2 + 3 + 2, 2 + 2 * (5 * channels + 2), 3)
    for i, image in enumerate(images):
        left = 2 + i * (5 * channels + 2)
        for channel, gray in enumerate(image):
            place = left + 5 * channel
            assert (page[2:5, place : place + 5] == gray.numpy()[..., None]).all()
    named = image_rows([("row", images.float() / 127.5 - 1, ["a", "b"])], title="title")
    assert named.ndim == 3 and named.dtype == np.uint8


@pytest.mark.parametrize(("high", "wide"), [(3, 17), (17, 3), (1, 40), (64, 8)])
def test_rectangular_images_keep_their_shape(high: int, wide: int, tmp_path: Path) -> None:
    images = torch.randint(256, (6, 3, high, wide), dtype=torch.uint8)
    page = image_grid(images, columns=3, width=1, captions=["c"] * 6)
    assert (page[2 : 2 + high, :, 0] != 255).any()
    cell = np.asarray(page)[2 : 2 + high]
    (left,) = {int(np.flatnonzero((cell != 255).any((0, 2)))[0])}
    assert (cell[:, left : left + wide] == images[0].permute(1, 2, 0).numpy()).all()
    film = np.stack([page, page])
    for array, suffix in ((page, ".png"), (film, ".gif")):
        saved = save_figure(Figure(array), tmp_path / "picture")
        with Image.open(tmp_path / saved["file"]) as opened:
            assert saved["file"].endswith(suffix) and opened.size == page.shape[1::-1]
    Image.fromarray(page).save(tmp_path / "other.png")
    pages = {"a": tmp_path / "picture.png", "b": tmp_path / "other.png"}
    assert side_by_side(pages).width > 2 * page.shape[1]


def test_a_sheet_is_no_wider_than_its_images() -> None:
    assert image_grid(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), columns=8, width=8).shape == (8, 14, 3)


def test_images_as_networks_make_them_are_drawn_as_they_are_stored() -> None:
    levels = torch.tensor([-1.5, -1.0, 0.0, 1.0, 1.5]).view(5, 1, 1, 1).expand(5, 1, 4, 4)
    page = image_grid(levels, columns=5, width=20)
    assert [int(page[4, 4 + 6 * index, 0]) for index in range(5)] == [0, 0, 128, 255, 255]


# Words -----------------------------------------------------------------------------------------------


def shows(page: np.ndarray, words: str, size: int, anchor: str = "la") -> bool:
    """Whether the words stand somewhere on the page, black on white, no pixel of them covered or cut off."""
    font, (width, height) = ImageFont.load_default(size), (2 * len(words) * size, 3 * size)
    canvas = Image.new("L", (width, height), 255)
    ImageDraw.Draw(canvas).text((width // 2, size), words, 0, font, anchor=anchor)
    drawn = np.asarray(canvas)
    rows, columns = (np.flatnonzero((drawn < 255).any(axis)) for axis in (1, 0))
    letters = drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    gray, (high, wide) = page[..., 0], letters.shape
    found = np.ones((len(gray) - high + 1, gray.shape[1] - wide + 1), bool)
    for y, x in np.ndindex(letters.shape):
        found &= gray[y : y + len(found), x : x + found.shape[1]] == letters[y, x]
    return bool(found.any())


def box_of(page: np.ndarray, color: str) -> tuple[slice, slice]:
    """The rows and columns between which there are pixels of a color; letters are gray."""
    there = (page == COLORS[color]).all(-1)
    rows, columns = there.any(1).nonzero()[0], there.any(0).nonzero()[0]
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def flat(*colors: str, size: tuple[int, int]) -> torch.Tensor:
    """An image of each color."""
    pixels = torch.tensor([COLORS[color] for color in colors], dtype=torch.uint8)
    return pixels[:, :, None, None].expand(-1, -1, *size)


FOUR = ("red", "green", "blue", "gold")
LONG = "jumping quickly over lazy frogs (100 %)"


@pytest.mark.parametrize("title", ["", "gypsy", LONG])
@pytest.mark.parametrize("captions", [(), tuple("gjpq"), (LONG, "b", "", "d")])
@pytest.mark.parametrize("names", [(), ("first",), ("y", LONG)])
def test_words_are_whole_and_cover_no_image(
    title: str, captions: tuple[str, ...], names: tuple[str, ...]
) -> None:
    images = flat(*FOUR, size=(10, 20))
    page = image_grid(images, 2, width=40, row_names=names, captions=captions, title=title)
    for color in FOUR:
        image = page[box_of(page, color)]
        assert image.shape == (10, 20, 3) and (image == COLORS[color]).all(), color
    assert all(shows(page, words, 12, "ma") for words in captions if words)
    assert all(shows(page, words, 13, "rm") for words in names)
    assert not title or shows(page, title, 16)
    edges = page[:2], page[-2:], page[:, :2], page[:, -2:]
    assert all((edge == 255).all() for edge in edges)


def test_each_word_stands_beside_its_own_image() -> None:
    images = flat(*FOUR, size=(30, 60))
    page = image_grid(images, 2, width=120, row_names=("up", "down"), captions=tuple("abcd"), title="both")
    boxes = {color: box_of(page, color) for color in FOUR}
    assert shows(page[: boxes["red"][0].start], "both", 16)
    left = slice(0, boxes["red"][1].start)
    assert shows(page[boxes["red"][0], left], "up", 13, "rm")
    assert shows(page[boxes["blue"][0], left], "down", 13, "rm")
    for caption, (rows, columns) in zip("abcd", boxes.values(), strict=True):
        assert shows(page[rows.stop : rows.stop + 18, columns], caption, 12, "ma"), caption


def test_rows_may_be_of_unequal_length_and_of_gray_and_color() -> None:
    gray = torch.full((1, 1, 30, 30), 90, dtype=torch.uint8)
    page = image_rows([("three", flat(*FOUR[:3], size=(30, 30)), ()), ("one", gray, ("x",))], width=90)
    assert shows(page, "three", 13, "rm") and shows(page, "one", 13, "rm") and shows(page, "x", 12, "ma")
    assert all(page[box_of(page, color)].shape == (30, 30, 3) for color in FOUR[:3])
    (rows, columns), (_, third) = box_of(page, "red"), box_of(page, "blue")
    assert (page[rows.stop + 2 : rows.stop + 32, columns] == 90).all(), "the second row is below the first"
    assert (page[rows.stop :, third] == 255).all(), "there is nothing else in it"


# Films -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "pace"), [(2, 400), (20, 400), (80, 100), (300, 40)])
def test_a_film_lasts_some_seconds_and_rests_on_its_last_frame(count: int, pace: int) -> None:
    frames = np.zeros((count, 12, 40, 3), np.uint8)
    for i, frame in enumerate(frames):  # 9 white bars count in binary
        for bit in range(9):
            frame[:, 4 * bit : 4 * bit + 3] = 255 * (i >> bit & 1)
    film: Any = Image.open(io.BytesIO(encode_gif(frames)))
    assert film.n_frames == count and film.info["loop"] == 0
    times = []
    for i in range(count):
        film.seek(i)
        assert (np.asarray(film.convert("RGB")) == frames[i]).all()
        times.append(film.info["duration"])
    assert times == [pace] * (count - 1) + [2000]


# Pages of pictures -----------------------------------------------------------------------------------


PAGE = {name: COLORS[name] for name in ("red", "green", "blue", "gray")}


def picture(path: Path, color: str, size: tuple[int, int] = (300, 200)) -> Path:
    Image.new("RGB", size, COLORS[color]).save(path)
    return path


def test_pictures_are_whole_each_under_its_title(tmp_path: Path) -> None:
    page = np.asarray(side_by_side({name: picture(tmp_path / f"{name}.png", name) for name in PAGE}))
    assert page.shape == (2 * (200 + MARGIN + TOP - MARGIN) + MARGIN, 2 * (300 + MARGIN) + MARGIN, 3)
    for index, (name, color) in enumerate(PAGE.items()):
        top, left = index // 2 * (200 + TOP), MARGIN + index % 2 * (300 + MARGIN)
        assert (page[top + TOP : top + TOP + 200, left : left + 300] == color).all(), name
        assert (page[top + MARGIN : top + TOP, left : left + 300] < 128).any(), f"no title over {name}"
    assert (page[:MARGIN] == 255).all() and (page[-MARGIN:] == 255).all()


def test_a_title_has_the_color_that_curves_give_its_variant(tmp_path: Path) -> None:
    page = side_by_side({name: picture(tmp_path / f"{name}.png", name) for name in ("gray", "green")})
    found: list[Any] = [page.getpixel((left + 5, MARGIN + 5)) for left in (MARGIN, 300 + 2 * MARGIN)]
    assert ["#" + bytes(color).hex() for color in found] == list(colors_of(["gray", "green"]).values())
    alone = side_by_side({"green": tmp_path / "green.png"}, among=["gray", "green"])
    assert alone.getpixel((MARGIN + 5, MARGIN + 5)) == found[1]


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


# Files -----------------------------------------------------------------------------------------------


def test_a_figure_is_kept_with_its_caption_and_its_data(tmp_path: Path) -> None:
    data: dict[Any, Any] = {
        "points": np.array([[0.5, 1.0], [np.nan, np.inf]], np.float32),
        "counts": torch.tensor([1, 2]),
        "labels": ("dark", "bright"),
        1: {"mean": np.float64(0.25), "n": np.int64(3), "good": True, "none": None, "far": -float("inf")},
    }
    picture = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    saved = save_figure(Figure(picture, "Two rows.", data), tmp_path / "new" / "label_name")
    assert saved == {"file": "label_name.png", "caption": "Two rows.", "data": "label_name.json"}
    assert (np.asarray(Image.open(tmp_path / "new" / "label_name.png")) == picture).all()
    text = (tmp_path / "new" / "label_name.json").read_text()
    assert "NaN" not in text and "Infinity" not in text, "other readers of JSON do not know them"
    assert json.loads(text) == {
        "points": [[0.5, 1.0], [None, None]],
        "counts": [1, 2],
        "labels": ["dark", "bright"],
        "1": {"mean": 0.25, "n": 3, "good": True, "none": None, "far": None},
    }


def test_a_film_is_a_figure_and_a_figure_without_data_has_no_file_of_them(tmp_path: Path) -> None:
    saved = save_figure(Figure(np.zeros((2, 4, 4, 3), np.uint8)), tmp_path / "film")
    assert saved == {"file": "film.gif", "caption": ""}
    assert [path.name for path in tmp_path.iterdir()] == ["film.gif"]


def test_an_html_picture_needs_nothing_beside_it() -> None:
    picture = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    text = html_image(picture, alt='"><script>')
    assert "<script>" not in text and "http" not in text
    inside = b64decode(text.partition("base64,")[2].partition('"')[0])
    assert (np.asarray(Image.open(io.BytesIO(inside))) == picture).all()
