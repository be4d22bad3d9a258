"""Drawn animals: shapes against their closed forms, and pictures that are the same everywhere."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from pluglab.protocols import DataContext
from pluglab_datasets import animal_heads, animals, drawing
from pluglab_datasets.animal_heads import DRAWN, KINDS, draw

Build = Callable[..., Any]
# Of 16 + 4 pictures of 64 x 64, seed 0, made on x86 with AVX-512 and, the same, with NPY_DISABLE_CPU_FEATURES
# naming all that numpy can do without there. numpy 2.4.
GOLDEN = {
    "train": "34332e0e5075635392a142be82104b22a25aea6c64d4c2db02830c554a14bb54",
    "test": "354d1f3b68369adac0f7f8d9f303becb86fbd3b82b512ffc5541a0226afc0ac3",
}


@pytest.fixture
def prepared(build: Build, context: DataContext) -> Callable[..., Any]:
    def prepare(**options: Any) -> Any:
        dataset = build("dataset", "animals", **options)
        dataset.prepare(context)
        return dataset

    return prepare


def test_counts_shapes_and_classes(prepared: Build) -> None:
    dataset = prepared(images=40, size=16)
    train, test = dataset.split("train"), dataset.split("test")
    assert train.pixels.shape == (40, 3, 16, 16) and test.pixels.shape == (10, 3, 16, 16)
    assert train.classes == tuple(KINDS) == tuple(sorted(KINDS))


def test_the_same_bytes_as_they_were(prepared: Build) -> None:
    dataset = prepared(images=16)
    assert {split: dataset.split(split).digest for split in GOLDEN} == GOLDEN


def test_nothing_that_processors_round_differently_is_used() -> None:
    """Sines, powers, exponentials, sums and products of matrices depend on a processor's instructions."""
    exact = {"sqrt", "minimum", "maximum", "clip", "abs", "floor", "where", "asarray", "array", "arange"}
    neutral = {"broadcast_to", "full_like", "float32", "uint8", "ndarray"}
    for module in (drawing, animal_heads):
        tree = ast.parse(inspect.getsource(module))
        names = {
            n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "np"
        }
        assert names <= exact | neutral
        assert not [n for n in ast.walk(tree) if isinstance(n, ast.Pow | ast.MatMult)]


def test_a_picture_depends_on_its_own_numbers_only(prepared: Build) -> None:
    """Not on those that are drawn beside it: nor on how many threads draw."""
    numbers = np.random.default_rng(0).random((5, len(DRAWN)), dtype=np.float32)
    together = draw(3, numbers, 32)
    assert all(np.array_equal(draw(3, numbers[i : i + 1], 32)[0], together[i]) for i in range(5))


def test_every_number_changes_some_picture() -> None:
    numbers = np.random.default_rng(0).random((8, len(DRAWN)), dtype=np.float32)
    for column, name in enumerate(DRAWN):
        other = numbers.copy()
        other[:, column] = (other[:, column] + np.float32(0.5)) % 1
        changed = [
            kind for kind in range(len(KINDS)) if (draw(kind, numbers, 32) != draw(kind, other, 32)).any()
        ]
        assert changed, name


def test_splits_and_seeds_hold_other_pictures(prepared: Build) -> None:
    first, second = prepared(images=40, size=16), prepared(images=40, size=16, seed=1)
    parts = [first.split("train"), first.split("test"), second.split("train")]
    rows = [{row.numpy().tobytes() for row in part.pixels} for part in parts]
    assert [len(some) for some in rows] == [40, 10, 40]
    assert len(set.union(*rows)) == 90


def test_kinds_are_told_apart_by_shape_and_not_by_color(prepared: Build) -> None:
    """A linear classifier of 16 x 16 pixels reads the kind far better than one of mean colors can."""
    dataset = prepared(images=1600, size=16)
    train, test = dataset.split("train"), dataset.split("test")

    def accuracy(describe: Callable[[torch.Tensor], torch.Tensor]) -> float:
        model = LogisticRegression(max_iter=300).fit(describe(train.pixels), train.labels)
        return float(model.score(describe(test.pixels), test.labels))

    def edges(pixels: torch.Tensor) -> torch.Tensor:
        gray = pixels.float().mean(1) / 255
        return torch.cat([gray.diff(dim=1).abs().flatten(1), gray.diff(dim=2).abs().flatten(1)], 1)

    assert accuracy(edges) > 0.8
    assert accuracy(lambda pixels: pixels.float().mean((2, 3)) / 255) < 0.25


def test_it_is_drawn_once(prepared: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepared(images=8, size=16).split("train")
    monkeypatch.setattr(animals, "draw", lambda *_: pytest.fail("drawn again"))
    assert torch.equal(prepared(images=8, size=16).split("train").pixels, first.pixels)


# Shapes --------------------------------------------------------------------------------------------


def share(distance: np.ndarray) -> float:
    """Share of the picture that is painted."""
    canvas = np.zeros((1, 3, *distance.shape[1:]), np.float32)
    drawing.paint(canvas, distance, np.ones((1, 3), np.float32))
    return float(canvas.mean(dtype=float))


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        (lambda x, y: drawing.ellipse(x, y, 0.1, -0.2, 0.6, 0.4), np.pi * 0.6 * 0.4),
        (lambda x, y: drawing.capsule(x, y, (-0.4, 0.0), (0.3, 0.24), 0.15), np.pi * 0.15**2 + 0.3 * 0.74),
        (lambda x, y: drawing.triangle(x, y, ((-0.5, 0.5), (0.0, -0.5), (0.5, 0.5))), 0.5),
        (lambda x, y: drawing.arc(x, y, 0, 0, 0.5, 0.1, -9.0), np.pi * (0.55**2 - 0.45**2)),
        (lambda x, y: drawing.arc(x, y, 0, 0, 0.5, 0.1, 0.0), np.pi * (0.55**2 - 0.45**2) / 2),
    ],
)
def test_areas(shape: Callable[..., np.ndarray], area: float) -> None:
    assert share(shape(*drawing.grid(256))) == pytest.approx(area / 4, rel=0.01)


def test_the_plane_turns_without_getting_larger() -> None:
    x, y = drawing.grid(8)
    u, v = drawing.turned(x, y, np.array([[[np.tan(0.2)]]], np.float32))
    np.testing.assert_allclose(u, np.cos(0.4) * x + np.sin(0.4) * y, atol=1e-6)
    np.testing.assert_allclose(v, np.cos(0.4) * y - np.sin(0.4) * x, atol=1e-6)


def test_colors_are_those_of_the_standard_library() -> None:
    from colorsys import hsv_to_rgb

    hsv = np.random.default_rng(0).random((50, 3), dtype=np.float32)
    expected = [hsv_to_rgb(*map(float, row)) for row in hsv]
    np.testing.assert_allclose(drawing.from_hsv(*hsv.T), expected, atol=1e-5)
