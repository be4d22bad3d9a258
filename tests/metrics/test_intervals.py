"""Intervals that hold what new draws give, and what real images score."""

import pytest
import torch

from pluglab.components import Component
from pluglab.data import Images
from pluglab.recipe.resolve import make
from pluglab_metrics.extractors.base import Features
from pluglab_metrics.intervals import HALVES, floor_rows, intervals
from pluglab_metrics.running import RunningMetric
from tests.evaluation import looked, role_data
from tests.metrics.models import Painter, Resampler


@pytest.fixture
def metric(registry):
    def metric(name, **options):
        component: Component = make(registry, "metric", name, **options)
        return RunningMetric(component)

    return metric


def normal(count, seed, shift=0.0, dimensions=4):
    generator = torch.Generator().manual_seed(seed)
    return Features(torch.randn(count, dimensions, generator=generator) + shift)


def test_an_interval_of_a_share_is_that_of_the_binomial(metric):
    """80 % of 1,000 right: the deviation is 100 sqrt(.8 x .2 / 1000) = 1.265."""
    logits = torch.eye(10)[torch.arange(1000) % 10]
    asked = torch.where(torch.arange(1000) < 800, torch.arange(1000) % 10, (torch.arange(1000) + 1) % 10)
    made = Features(torch.zeros(1000, 2), logits)
    low, high = intervals(metric("class_accuracy"), normal(50, 0), made, asked)["class_accuracy"]
    assert (low + high) / 2 == pytest.approx(80)
    assert (high - low) / 2 == pytest.approx(1.96 * 1.265, rel=0.4)  # HALVES tell a deviation to a sixth


@pytest.mark.parametrize(
    ("name", "options", "key"),
    [
        ("fid", {}, "fid"),
        ("kid", {"subsets": 1, "subset_size": 10_000}, "kid"),
        ("precision_recall", {}, "precision"),
        ("precision_recall", {}, "coverage"),
    ],
)
def test_intervals_hold_the_scores_of_other_draws(metric, name, options, key):
    """The deviation of a score over 40 draws of both kinds of images, and that of one draw's interval."""
    scored = metric(name, **options)
    draws = [
        scored.of_features(normal(300, 2 * i), normal(300, 2 * i + 1, 0.5), None)[key] for i in range(40)
    ]
    true = torch.tensor(draws).std().item()
    low, high = intervals(scored, normal(300, 0), normal(300, 1, 0.5), None)[key]
    assert (low + high) / 2 == pytest.approx(draws[0])
    assert 0.5 * true < (high - low) / 2 / 1.96 < 2 * true


def test_twice_the_images_make_the_interval_narrower(metric):
    def width(count):
        low, high = intervals(metric("fid"), normal(count, 0), normal(count, 1, 0.5), None)["fid"]
        return high - low

    assert width(1600) == pytest.approx(width(200) / 8**0.5, rel=0.6)


def test_intervals_draw_no_global_random_numbers_and_are_the_same_again(metric):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first = intervals(metric("fid"), normal(50, 0), normal(50, 1), None)
    assert torch.equal(torch.rand(2), expected)
    assert first == intervals(metric("fid"), normal(50, 0), normal(50, 1), None)
    assert HALVES >= 20


def test_rows_of_the_floor_are_others_than_the_reference_and_in_proportion(digits):
    part = role_data({"train": digits})["train"]["train"]
    for reference, n, expected in (
        (500, 300, (500, 300)),
        (1797, 1797, (898, 899)),
        (1797, 599, (1348, 449)),
    ):
        one, other = floor_rows(part, reference, n)
        assert (len(one), len(other)) == pytest.approx(expected, abs=1)
        assert not set(one.tolist()) & set(other.tolist())
    assert torch.equal(floor_rows(part, 500, 300)[0], floor_rows(part, 500, 20)[0])


def test_scores_stand_between_their_ends_and_beside_the_floor(build, digits, context):
    options = {"metrics": ["fid", "precision_recall"], "feature_extractor": "pool", "n": 400}
    quality = build("evaluator", "generation_quality", reference=800, intervals=True, **options)
    found = looked(quality, Resampler(digits), {"train": digits}, context).found
    values = found.scalars
    for key in ("fid", "precision", "recall", "density", "coverage"):
        name = f"{key}_400/pool"
        assert values[f"{name}/low"] < values[name] < values[f"{name}/high"]
        assert found.protocols[f"{name}/real"]["floor"] == "400 real images against 800 others"
        assert "20 random halves" in found.protocols[f"{name}/low"]["interval"]
    assert values["fid_400/pool/real"] < values["fid_400/pool/low"]  # its images are dimmed
    assert values["precision_400/pool/real"] > 0.5
    plain = build("evaluator", "generation_quality", reference=800, **options)
    without = looked(plain, Resampler(digits), {"train": digits}, context).found.scalars
    assert without == {key: values[key] for key in without}
    table = found.tables["intervals"]
    assert table.columns == ("score", "value", "low", "high", "real images") and len(table.rows) == 5


def test_the_floor_of_class_accuracy_reads_the_labels_of_the_real_images(build, context):
    """All of them flat images of their class, but for a tenth."""
    labels = torch.arange(200) % 10
    pixels = (labels.view(-1, 1, 1, 1) * 255 / 9).round().to(torch.uint8).expand(200, 1, 8, 8).clone()
    wrong = torch.where(torch.arange(200) < 20, (labels + 5) % 10, labels)
    images = Images(pixels, wrong, tuple("0123456789"))
    options = {"metrics": ["class_accuracy"], "feature_extractor": "labeler", "n": 200, "intervals": True}
    quality = build("evaluator", "generation_quality", **options)
    found = looked(quality, Painter(), {"train": images}, context).found.scalars
    assert found["class_accuracy_200/labeler"] == 100
    assert found["class_accuracy_200/labeler/real"] == pytest.approx(90, abs=6)
