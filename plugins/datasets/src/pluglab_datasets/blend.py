"""Digits blended into photographs, as MNIST-M was made (Ganin et al. 2016, section 5.2.4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Array = np.ndarray


def blend(digits: Array, photos: Sequence[Array], generator: np.random.Generator) -> Array:
    """|crop - digit| for each channel: the stroke shows as the inverted photograph.

    `digits`: uint8 N x S x S. `photos`: uint8 H x W x 3 each, at least S pixels high and wide. Each digit
    gets a photo and a place in it, both uniformly at random. Returns uint8 N x 3 x S x S.
    """
    size = digits.shape[-1]
    blended = np.empty((len(digits), 3, size, size), np.uint8)
    choice = generator.integers(len(photos), size=len(digits))
    place = generator.random((len(digits), 2))
    for i, digit in enumerate(digits):
        crop = _crop(photos[choice[i]], size, place[i]).astype(np.int16)
        blended[i] = np.abs(crop - digit[..., None]).transpose(2, 0, 1)
    return blended


def _crop(photo: Array, size: int, place: Array) -> Array:
    top = int(place[0] * (photo.shape[0] - size + 1))
    left = int(place[1] * (photo.shape[1] - size + 1))
    return photo[top : top + size, left : left + size]
