"""Heads of animals, drawn: color images with labels that need no file and no network."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from pydantic import Field

from pluglab.components import Options
from pluglab.data import Images, derived_seed
from pluglab.protocols import DataContext
from pluglab_datasets.animal_heads import DRAWN, KINDS, draw
from pluglab_datasets.drawing import Array
from pluglab_datasets.prepared import Part, cached, prepared_folder
from pluglab_datasets.splits import pick

DRAWING = 1  # another number makes cached pictures stale
AT_ONCE = 16  # pictures, so that arrays stay in a processor's cache


class AnimalsOptions(Options):
    size: int = Field(64, ge=16, le=256)
    """Height and width of the images, in pixels."""
    images: int = Field(8000, ge=8)
    """Training images; there are a quarter as many test images."""
    seed: int = 0
    """Chooses every picture; another seed gives other pictures of the same kind."""


class Animals:
    """Heads of eight animals in flat colors: bear, cat, dog, frog, mouse, owl, pig, rabbit; three channels.

    A picture is a function of 24 uniform numbers: colors, place, size and turn of the head, proportions, eyes
    and gaze, mouth, markings. Drawn at any size with soft edges; the same bytes on every machine.
    """

    Config = AnimalsOptions
    name = "animals"

    def __init__(self, config: AnimalsOptions) -> None:
        self.config = config
        self.splits: dict[str, Images] = {}

    def prepare(self, context: DataContext) -> None:
        folder = prepared_folder(context, self.name, self.config.model_dump(), DRAWING)
        self.splits = cached(folder, lambda scratch: self._made(context))

    def split(self, name: str) -> Images:
        return pick(self.splits, name, self.name)

    def _made(self, context: DataContext) -> dict[str, Part]:
        counts = {"train": self.config.images, "test": self.config.images // 4}
        with context.track("drawing animals", sum(counts.values())) as bar:
            return {split: self._drawn(split, count, bar.advance) for split, count in counts.items()}

    def _drawn(self, split: str, count: int, advance: Callable[[int], None]) -> Part:
        generator = np.random.default_rng(derived_seed(self.name, self.config.seed, split))
        labels = generator.integers(len(KINDS), size=count)
        numbers = generator.random((count, len(DRAWN)), dtype=np.float32)
        pixels = np.empty((count, 3, self.config.size, self.config.size), np.uint8)

        def fill(rows: Array) -> int:
            pixels[rows] = draw(int(labels[rows[0]]), numbers[rows], self.config.size)
            return len(rows)

        with ThreadPoolExecutor() as pool:
            for done in pool.map(fill, _alike(labels)):
                advance(done)
        facts = {"source": "drawn", "drawing": DRAWING, "seed": self.config.seed, "count": count}
        return Part(pixels, labels, {**facts, "classes": list(KINDS)})


def _alike(labels: Array) -> list[Array]:
    """Row numbers of one label, `AT_ONCE` of them at most, until all rows are named."""
    by_label = (np.flatnonzero(labels == label) for label in range(len(KINDS)))
    return [rows[i : i + AT_ONCE] for rows in by_label for i in range(0, len(rows), AT_ONCE)]
