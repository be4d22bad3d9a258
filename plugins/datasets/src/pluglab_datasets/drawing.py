"""Shapes as signed distances, and paint. Many pictures at once, each with its own numbers.

Nothing here uses more than + - * / and square roots, which are rounded alike on every processor. Sines and
exponentials of numpy are not: their last bit depends on which instructions a processor has.

Coordinates are float32 arrays B x H x W (a row of them may have size 1), in units of half the picture's side;
x grows to the right and y downwards. Numbers of a shape are floats or arrays B x 1 x 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray
Number = Any  # float, or float32 B x 1 x 1


def grid(size: int) -> tuple[Array, Array]:
    """x (1 x 1 x size) and y (1 x size x 1) of the pixels' centers, in [-1, 1]."""
    centers = ((np.arange(size, dtype=np.float32) * 2 + 1) / size - 1).astype(np.float32)
    return centers[None, None, :], centers[None, :, None]


def turned(x: Array, y: Array, tangent: Array) -> tuple[Array, Array]:
    """The plane turned by twice the angle of this tangent, without a sine."""
    norm = 1 + tangent * tangent
    cosine, sine = (1 - tangent * tangent) / norm, 2 * tangent / norm
    return cosine * x + sine * y, cosine * y - sine * x


def ellipse(x: Array, y: Array, cx: Number, cy: Number, a: Number, b: Number) -> Array:
    """Half axes a and b. Exact on the edge, and nearly so beside it where a and b are alike."""
    u, v = (x - cx) * (1 / a), (y - cy) * (1 / b)
    return np.asarray((np.sqrt(u * u + v * v) - 1) * np.minimum(a, b, dtype=np.float32))


def capsule(x: Array, y: Array, start: tuple[Number, Number], end: tuple[Number, Number], r: Number) -> Array:
    """All that is within r of the line from start to end."""
    (ax, ay), (bx, by) = start, end
    dx, dy = bx - ax, by - ay
    u, v = x - ax, y - ay
    share = np.clip((u * dx + v * dy) / (dx * dx + dy * dy), 0, 1)
    u, v = u - share * dx, v - share * dy
    return np.asarray(np.sqrt(u * u + v * v) - r)


def triangle(x: Array, y: Array, corners: tuple[tuple[Number, Number], ...], r: Number = 0.0) -> Array:
    """Corners clockwise as seen; r rounds them by making the triangle larger."""
    sides = zip(corners, (*corners[1:], corners[0]), strict=True)
    distances = [_half_plane(x, y, start, end) for start, end in sides]
    return np.asarray(np.maximum(np.maximum(distances[0], distances[1]), distances[2]) - r)


def _half_plane(x: Array, y: Array, start: tuple[Number, Number], end: tuple[Number, Number]) -> Array:
    """Positive on the left of the way from start to end."""
    (ax, ay), (bx, by) = start, end
    dx, dy = bx - ax, by - ay
    length = np.sqrt(dx * dx + dy * dy, dtype=np.float32)
    return np.asarray((x - ax) * (dy / length) - (y - ay) * (dx / length))


def arc(x: Array, y: Array, cx: Number, cy: Number, radius: Number, width: Number, top: Number) -> Array:
    """A ring of this width around (cx, cy), as far as it lies below `top`."""
    u, v = x - cx, y - cy
    ring = np.abs(np.sqrt(u * u + v * v) - radius) - width / 2
    return np.asarray(np.maximum(ring, top - y))


def paint(canvas: Array, distance: Array, color: Array) -> None:
    """Cover what is inside with `color`, float32 B x 3 (or B x 3 x H x W), edges one pixel soft.

    `canvas`: float32 B x 3 x H x W, changed in place.
    """
    half = canvas.shape[-1] / 2
    cover = np.clip(0.5 - distance * half, 0, 1)[:, None]
    if color.ndim == 2:
        color = color[:, :, None, None]
    canvas += cover * (color - canvas)


def from_hsv(hue: Array, saturation: Array, value: Array) -> Array:
    """RGB, float32 N x 3 in [0, 1], of N hues (1 is the whole circle), saturations and values."""
    sector = hue[:, None] * 6 + np.array([5, 3, 1], np.float32)
    sector = sector - 6 * np.floor(sector / 6)
    dip = np.clip(np.minimum(sector, 4 - sector), 0, 1)
    return np.asarray((value[:, None] * (1 - saturation[:, None] * dip)).astype(np.float32))
