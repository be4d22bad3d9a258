"""How each of the animals is drawn: heads in flat colors, seen from the front."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pluglab_datasets.drawing import (
    Array,
    Number,
    arc,
    capsule,
    ellipse,
    from_hsv,
    grid,
    paint,
    triangle,
    turned,
)

DRAWN = (  # what differs from picture to picture
    *("hue", "saturation", "value", "sky", "sky_saturation", "sky_value"),
    *("across", "down", "scale", "turn", "wide", "high", "ear", "apart"),
    *("eye", "iris", "pupil", "gaze_x", "gaze_y", "closed"),
    *("mouth", "marking", "side", "blush"),
)


def draw(label: int, numbers: Array, size: int) -> Array:
    """uint8 B x 3 x size x size, of one kind. `numbers`: float32 B x 24 in [0, 1), named by `DRAWN`."""
    head = Head(numbers, size)
    list(KINDS.values())[label](head)
    return np.asarray((head.canvas * 255 + 0.5).astype(np.uint8))


class Head:
    """One kind's heads being painted: coordinates that move with each head, its colors, what kinds share.

    `u` is |x|, so that what is painted there appears on both sides.
    """

    def __init__(self, numbers: Array, size: int) -> None:
        self.numbers = {name: numbers[:, i] for i, name in enumerate(DRAWN)}
        self._choose_colors()
        x, y = grid(size)
        self.canvas = self._sky(x, y)
        x, y = (x - self.between("across", -0.1, 0.1), y - self.between("down", -0.06, 0.1))
        x, y = turned(x, y, self.between("turn", -0.1, 0.1))
        scale = 1 / self.between("scale", 0.84, 1.02)
        self.x, self.y = x * scale, y * scale
        self.u = np.abs(self.x)
        self.wide, self.high = self.between("wide", 0.92, 1.08), self.between("high", 0.92, 1.08)

    def between(self, name: str, low: float, high: float) -> Array:
        """The number of this name in [low, high), B x 1 x 1."""
        return np.asarray(low + (high - low) * self.numbers[name], np.float32)[:, None, None]

    def less(self, name: str, share: float) -> Array:
        """Whether the number of this name is below `share`, B x 1 x 1."""
        return np.asarray(self.numbers[name] < share)[:, None, None]

    def _choose_colors(self) -> None:
        hue, saturation, value = (self.numbers[name] for name in ("hue", "saturation", "value"))
        saturation, value = 0.25 + 0.5 * saturation, 0.62 + 0.36 * value
        self.fur = from_hsv(hue, saturation, value)
        self.dark = from_hsv(hue, np.minimum(saturation + 0.1, 1), value * 0.68)
        self.light = from_hsv(hue, saturation * 0.3, np.minimum(value * 1.3, 1))
        self.ink, self.white = self._plain(0.12, 0.10, 0.13), self._plain(0.98, 0.97, 0.95)
        self.pink, self.orange = self._plain(0.95, 0.55, 0.6), self._plain(0.98, 0.66, 0.2)
        self.iris = from_hsv(self.numbers["iris"], np.full_like(hue, 0.75), np.full_like(hue, 0.75))

    def _plain(self, *color: float) -> Array:
        return np.broadcast_to(np.array(color, np.float32), (len(self.numbers["hue"]), 3))

    def _sky(self, x: Array, y: Array) -> Array:
        """A pale color that stands off from the fur, lighter at the top."""
        hue = self.numbers["hue"] + 0.35 + 0.3 * self.numbers["sky"]
        saturation, value = 0.12 + 0.4 * self.numbers["sky_saturation"], 0.8 + 0.2 * self.numbers["sky_value"]
        color = from_hsv(hue, saturation, value)[:, :, None, None]
        return np.asarray(color * (0.92 - 0.08 * y + 0 * x)[:, None], np.float32)

    # Paint -----------------------------------------------------------------------------------------

    def paint(self, distance: Array, color: Array, where: Array | None = None) -> None:
        """All heads, or those `where` (B x 1 x 1) says so."""
        paint(self.canvas, distance if where is None else np.where(where, distance, 1), color)

    def round(self, cx: Number, cy: Number, a: Number, b: Number, color: Array) -> None:
        """An ellipse; the same on the other side where cx is not 0."""
        self.paint(ellipse(self.u, self.y, cx, cy, a, b), color)

    def skull(self, cy: float, a: float, b: float) -> None:
        """The head itself, lit from above; some have a patch around one eye or stripes on the forehead."""
        distance = ellipse(self.x, self.y, 0, cy, a * self.wide, b * self.high)
        light = np.clip(1.06 - 0.16 * (self.y - cy), 0, 1.2)[:, None]
        self.paint(distance, np.minimum(self.fur[:, :, None, None] * light, 1))
        side = np.where(self.less("side", 0.5), np.float32(-1), np.float32(1))
        patch = ellipse(self.x * side, self.y, 0.28, cy - 0.12, 0.27, 0.25)
        self.paint(np.maximum(patch, distance), self.dark, self.less("marking", 0.25))
        stripes = np.maximum(self.u % np.float32(0.22) - 0.06, self.y - cy + 0.34)
        self.paint(np.maximum(stripes, distance), self.dark, ~self.less("marking", 0.75))

    def eyes(self, apart: Number, cy: float, size: Number, slit: float = 1.0) -> None:
        """Two that look one way: white, iris, pupil and a glint; or closed."""
        apart, size = apart * self.between("apart", 0.9, 1.1), size * self.between("eye", 0.85, 1.15)
        shut = self.less("closed", 0.12)
        self.paint(arc(self.u, self.y, apart, cy - 0.1, size, 0.05, cy), self.ink, shut)
        x, y = self.between("gaze_x", -0.3, 0.3) * size, cy + self.between("gaze_y", -0.25, 0.25) * size
        pupil = size * self.between("pupil", 0.42, 0.6)
        for dx, dy, a, b, color in (
            (0, cy, size, size, self.white),
            (x, y, size * 0.72, size * 0.72, self.iris),
            (x, y, pupil * slit, pupil, self.ink),
            (x - size * 0.22, y - size * 0.26, size * 0.2, size * 0.2, self.white),
        ):
            left, right = (ellipse(self.x, self.y, dx + side, dy, a, b) for side in (-apart, apart))
            self.paint(np.minimum(left, right), color, ~shut)

    def mouth(self, cy: float, radius: float, apart: float = 0.0) -> None:
        """A smile, or a double one; or an open mouth with a tongue."""
        smile = ~self.less("mouth", 0.35)
        self.paint(arc(self.u, self.y, apart, cy - radius, radius, 0.05, cy - radius * 0.45), self.ink, smile)
        inside = np.maximum(ellipse(self.x, self.y, 0, cy - 0.06, radius * 0.8, 0.17), cy - 0.06 - self.y)
        self.paint(inside, self.ink, ~smile)
        tongue = np.maximum(ellipse(self.x, self.y, 0, cy + 0.09, radius * 0.5, 0.09), inside)
        self.paint(tongue, self.pink, ~smile)

    def cheeks(self, apart: float, cy: float) -> None:
        self.paint(ellipse(self.u, self.y, apart, cy, 0.11, 0.075), self.pink, self.less("blush", 0.4))

    def whiskers(self, start: float, cy: float) -> None:
        for rise in (-0.07, 0.03):
            hair = capsule(self.u, self.y, (start, cy + rise * 0.4), (start + 0.42, cy + rise * 1.6), 0.012)
            self.paint(hair, self.ink)


def bear(head: Head) -> None:
    ear = head.between("ear", 0.2, 0.28)
    head.round(0.52, -0.5, ear, ear, head.dark)
    head.round(0.52, -0.5, ear * 0.55, ear * 0.55, head.light)
    head.skull(0.08, 0.72, 0.66)
    head.round(0, 0.34, 0.33, 0.27, head.light)
    head.eyes(0.29, -0.06, 0.12)
    head.round(0, 0.22, 0.12, 0.085, head.ink)
    head.mouth(0.47, 0.14)
    head.cheeks(0.5, 0.24)


def cat(head: Head) -> None:
    tip = head.between("ear", -0.95, -0.78)
    for inset, color in ((0.0, head.dark), (0.1, head.pink)):
        corners = ((0.14 + inset, -0.4), (0.6, tip + 1.6 * inset), (0.68 - inset * 0.6, -0.1))
        head.paint(triangle(head.u, head.y, corners, 0.03), color)
    head.skull(0.08, 0.72, 0.6)
    head.round(0.12, 0.34, 0.17, 0.14, head.light)
    head.eyes(0.3, 0.0, 0.16, slit=0.45)
    head.whiskers(0.24, 0.34)
    head.paint(triangle(head.x, head.y, ((-0.06, 0.2), (0.06, 0.2), (0, 0.28)), 0.025), head.pink)
    head.mouth(0.44, 0.11, apart=0.11)


def dog(head: Head) -> None:
    head.skull(0.05, 0.6, 0.7)
    end = head.between("ear", 0.1, 0.4)
    head.paint(capsule(head.u, head.y, (0.5, -0.42), (0.68, end), 0.17), head.dark)
    head.round(0, 0.36, 0.33, 0.3, head.light)
    head.eyes(0.25, -0.1, 0.13)
    head.round(0, 0.2, 0.16, 0.11, head.ink)
    head.round(0, 0.16, 0.06, 0.025, head.white)
    head.mouth(0.5, 0.16, apart=0.0)


def frog(head: Head) -> None:
    head.round(0.42, -0.4, 0.28, 0.28, head.fur)
    head.skull(0.14, 0.84, 0.56)
    head.round(0, 0.46, 0.55, 0.2, head.light)
    head.eyes(0.42, -0.42, 0.2)
    head.round(0.09, 0.08, 0.03, 0.03, head.ink)
    head.mouth(0.42, 0.46)
    head.cheeks(0.6, 0.2)


def mouse(head: Head) -> None:
    ear = head.between("ear", 0.3, 0.4)
    head.round(0.58, -0.42, ear, ear, head.dark)
    head.round(0.58, -0.42, ear * 0.68, ear * 0.68, head.pink)
    head.skull(0.18, 0.54, 0.54)
    head.eyes(0.22, 0.06, 0.12)
    head.whiskers(0.18, 0.42)
    head.round(0, 0.36, 0.09, 0.075, head.pink)
    head.mouth(0.55, 0.1)
    head.cheeks(0.36, 0.34)


def owl(head: Head) -> None:
    tip = head.between("ear", -0.92, -0.74)
    head.paint(triangle(head.u, head.y, ((0.1, -0.45), (0.52, tip), (0.64, -0.2)), 0.03), head.dark)
    head.skull(0.08, 0.7, 0.7)
    head.round(0.27, -0.08, 0.33, 0.33, head.light)
    head.eyes(0.27, -0.08, 0.22)
    head.paint(triangle(head.x, head.y, ((-0.09, 0.14), (0.09, 0.14), (0, 0.34)), 0.03), head.orange)
    for row, apart in ((0.5, 0.16), (0.62, 0.0)):
        head.paint(arc(head.u, head.y, apart, row - 0.1, 0.1, 0.05, row - 0.06), head.dark)


def pig(head: Head) -> None:
    drop = head.between("ear", -0.86, -0.6)
    head.paint(triangle(head.u, head.y, ((0.2, -0.42), (0.66, drop), (0.62, -0.2)), 0.04), head.dark)
    head.skull(0.08, 0.7, 0.64)
    head.round(0, 0.28, 0.27, 0.19, head.dark)
    head.round(0.1, 0.28, 0.05, 0.085, head.ink)
    head.eyes(0.32, -0.08, 0.12)
    head.mouth(0.6, 0.17)
    head.cheeks(0.5, 0.2)


def rabbit(head: Head) -> None:
    lean = head.between("ear", 0.2, 0.42)
    for width, color in ((0.13, head.dark), (0.065, head.pink)):
        head.paint(capsule(head.u, head.y, (0.2, -0.2), (lean, -0.78), width), color)
    head.skull(0.26, 0.56, 0.52)
    head.round(0.11, 0.48, 0.15, 0.13, head.light)
    head.eyes(0.24, 0.16, 0.13)
    head.paint(triangle(head.x, head.y, ((-0.05, 0.35), (0.05, 0.35), (0, 0.42)), 0.025), head.pink)
    head.paint(np.maximum(head.u - 0.07, np.abs(head.y - 0.62) - 0.08), head.white)
    head.mouth(0.56, 0.1, apart=0.1)
    head.cheeks(0.4, 0.42)


KINDS: dict[str, Callable[[Head], None]] = {
    "bear": bear,
    "cat": cat,
    "dog": dog,
    "frog": frog,
    "mouse": mouse,
    "owl": owl,
    "pig": pig,
    "rabbit": rabbit,
}
