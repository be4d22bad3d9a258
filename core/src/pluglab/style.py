"""How all pictures look: colors, markers and lines that are the same for one thing wherever it is drawn.

Nothing here imports a library for plots; `pluglab_plots` draws with it.

    look(0).color                  of the first series, class or variant
    places_of(["DANN", "AdaBN"])   places for variants, in the order of the recipe; `colors_of` their colors
    places(["target", "source"])   [1, 0]: a role has one color, whatever the order
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Every color has a contrast of 3.1 : 1 or more on white (WCAG 2.2, 1.4.11). Any two differ in lightness, as a
# gray printer shows them, and by 13 CIELAB units or more for readers without one kind of cone (Machado et al.
# 2009). Found by a search; tests/core/test_style.py measures all that.
COLORS = (
    "#083eb1", "#ce8100", "#037aa2", "#5b1c6b", "#e645be",
    "#7a660c", "#4c2800", "#59885f", "#a80033", "#585d69",
)  # fmt: skip
UNKNOWN = "#8a8a8a"  # what has no class
INK = "#1a1a1a"  # letters and axes
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "<", ">", "p", "*", "h", "d")
LINES = ("-", "--", "-.", ":")
PAIR = 2  # places of source and target; variants begin after them, again with whole lines
# What is drawn so often that it has a place of its own. Those of one place are never in one picture.
PLACES = {
    "source": 0, "target": 1, "train": 0, "test": 1,
    "generator": 0, "discriminator": 1, "class": 0, "domain": 1, "reconstruction": 0, "kl": 1,
    "accuracy": 0, "domain_accuracy": 1, "real_score": 0, "fake_score": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Look:
    """Color, marker and line of one series: each by itself tells it from its neighbors."""

    color: str
    marker: str
    line: str


def look(index: int) -> Look:
    """How the series, class or variant at place `index` looks. Colors come again after ten, with other
    markers and lines."""
    line = index if index < PAIR else index - PAIR + index // len(COLORS)
    return Look(COLORS[index % len(COLORS)], MARKERS[index % len(MARKERS)], LINES[line % len(LINES)])


def places_of(variants: Iterable[str]) -> dict[str, int]:
    """The place of each variant, in the recipe's order: after those of source and target, whose pictures
    variants are the titles of."""
    return {name: place + PAIR for place, name in enumerate(dict.fromkeys(variants))}


def colors_of(variants: Iterable[str]) -> dict[str, str]:
    """The color of each variant, in the recipe's order."""
    return {name: look(place).color for name, place in places_of(variants).items()}


def places(names: Sequence[str]) -> list[int]:
    """The place of each series among the looks: that of its own where it has one, such as a role.

    'source/train' counts as 'source' where 'source' itself is not there. The others take the places that are
    left, in order.
    """
    heads = [name.partition("/")[0] for name in names]
    wanted = [PLACES.get(name, PLACES.get(head)) for name, head in zip(names, heads, strict=True)]
    kept = _first_of_each(wanted)
    reserved = {place for place in kept if place is not None}
    if reserved:  # the other of a pair may be in the next picture
        reserved |= {0, 1}
    free = (place for place in range(len(names) + 2) if place not in reserved)
    return [next(free) if place is None else place for place in kept]


def _first_of_each(wanted: Sequence[int | None]) -> list[int | None]:
    """Each place for the first that wants it."""
    return [None if place in wanted[:i] else place for i, place in enumerate(wanted)]
