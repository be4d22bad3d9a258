"""Whether what is drawn can be seen and told apart: contrast, color blindness, gray paper."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations, pairwise

import numpy as np
import pytest

from pluglab.style import COLORS, INK, LINES, MARKERS, UNKNOWN, colors_of, look, places

# sRGB to XYZ under D65 (IEC 61966-2-1).
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
# What readers without one kind of cone see, of linear RGB (Machado, Oliveira and Fernandes 2009, severity 1).
SIGHTS = {
    "all cones": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def linear(color: str) -> np.ndarray:
    values = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast_on_white(color: str) -> float:
    """(1 + 0.05) / (Y + 0.05) of WCAG 2.2."""
    return float(1.05 / (XYZ[1] @ linear(color) + 0.05))


def lab(color: str, sight: str = "all cones") -> np.ndarray:
    """CIELAB."""
    share = XYZ @ np.clip(SIGHTS[sight] @ linear(color), 0, 1) / XYZ.sum(1)
    f = np.where(share > 216 / 24389, np.cbrt(share), share * 841 / 108 + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_the_measures_are_those_of_the_standards() -> None:
    assert contrast_on_white("#000000") == pytest.approx(21)
    assert contrast_on_white("#777777") == pytest.approx(4.48, abs=0.01)
    assert lab("#ff0000") == pytest.approx([53.24, 80.09, 67.20], abs=0.02)
    gray = [lab("#808080", sight) for sight in SIGHTS]
    assert all(value == pytest.approx(gray[0], abs=0.1) for value in gray)


@pytest.mark.parametrize("color", [*COLORS, UNKNOWN, INK])
def test_every_color_is_seen_on_white(color: str) -> None:
    assert contrast_on_white(color) >= 3


@pytest.mark.parametrize("sight", SIGHTS)
def test_any_two_colors_are_told_apart_whoever_looks(sight: str) -> None:
    pairs = combinations([lab(color, sight) for color in COLORS], 2)
    assert min(float(np.linalg.norm(a - b)) for a, b in pairs) >= 13


def test_any_two_colors_differ_on_gray_paper() -> None:
    lightness = sorted(float(lab(color)[0]) for color in COLORS)
    assert np.diff(lightness).min() >= 3.5
    assert abs(lab(look(0).color)[0] - lab(look(1).color)[0]) > 25, "source and target"


def test_no_two_of_many_series_look_alike() -> None:
    looks = [look(i) for i in range(len(COLORS) * len(MARKERS))]
    assert len({(one.color, one.marker) for one in looks}) == len(looks)
    assert len({(one.color, one.line) for one in looks[:20]}) == 20
    assert [one.line for one in looks[:6]] == ["-", "--", *LINES], "source and target; four variants"
    assert all(a.marker != b.marker and a.line != b.line for a, b in pairwise(looks))


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        (["source", "target"], [0, 1]),
        (["target", "source"], [1, 0]),
        (["target"], [1]),
        (["val", "target", "source", "more"], [2, 1, 0, 3]),
        (["source", "source/train", "target/train", "target"], [0, 2, 1, 3]),
        (["class", "domain", "total"], [0, 1, 2]),
        (["train"], [0]),
        (["discriminator", "generator", "path_length"], [1, 0, 2]),
        (["generator"], [0]),
        (["target", "val"], [1, 2]),
        ([str(i) for i in range(12)], list(range(12))),
    ],
)
def test_a_role_has_one_color_wherever_it_is_drawn(roles: list[str], expected: list[int]) -> None:
    """As where a recipe names [data.target] first, or shows the target alone."""
    assert places(roles) == expected


def test_a_variant_has_the_color_of_its_place() -> None:
    assert colors_of(["DANN", "AdaBN", "DANN"]) == {"DANN": COLORS[2], "AdaBN": COLORS[3]}


def test_the_style_imports_nothing() -> None:
    heavy = "{'numpy', 'torch', 'matplotlib', 'PIL'}"
    code = f"import sys; import pluglab.style; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
