"""Sheets of images, and films that can be watched."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from pluglab.figures import encode_gif, sheet


def test_a_sheet_holds_every_image_in_order_on_white() -> None:
    images = torch.arange(5, dtype=torch.uint8).mul(40).view(5, 1, 1, 1).expand(5, 3, 4, 6)
    page = sheet(images, columns=3, width=30)  # 18 pixels a row, enlarged twice
    assert page.shape == (2 + 2 * (8 + 2), 2 + 3 * (12 + 2), 3)
    for index in range(5):
        top, left = 2 + 10 * (index // 3), 2 + 14 * (index % 3)
        assert (page[top : top + 8, left : left + 12] == 40 * index).all()
    assert (page[12:, 30:] == 255).all() and (page[:2] == 255).all() and (page[10:12] == 255).all()


def test_a_sheet_is_no_wider_than_its_images() -> None:
    assert sheet(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), columns=8, width=8).shape == (8, 14, 3)


@pytest.mark.parametrize(("count", "pace"), [(2, 400), (20, 400), (80, 100), (300, 40)])
def test_a_film_lasts_some_seconds_and_rests_on_its_last_frame(count: int, pace: int) -> None:
    frames = np.zeros((count, 12, 40, 3), np.uint8)
    for i, frame in enumerate(frames):  # 9 white bars count in binary
        for bit in range(9):
            frame[:, 4 * bit : 4 * bit + 3] = 255 * (i >> bit & 1)
    film = Image.open(io.BytesIO(encode_gif(frames)))
    assert film.n_frames == count and film.info["loop"] == 0
    times = []
    for i in range(count):
        film.seek(i)
        assert (np.asarray(film.convert("RGB")) == frames[i]).all()
        times.append(film.info["duration"])
    assert times == [pace] * (count - 1) + [2000]
