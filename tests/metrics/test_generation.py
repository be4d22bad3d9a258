"""Evaluators of generators, with generators whose images are known."""

import math

import numpy as np
import pytest
import torch

from pluglab.capabilities import Generates, can
from pluglab.data import Images, to_uint8
from pluglab.errors import UserError
from pluglab.evaluating import noise, sample_batches
from pluglab_metrics.samples import by_class, slerp
from pluglab_metrics.scores.frechet import RunningGaussian, frechet_distance
from tests.evaluation import role_data
from tests.metrics.models import LatentPainter, Painter, Pool, Resampler


@pytest.fixture
def data(digits):
    return role_data({"train": digits})


def test_quality_is_the_metric_of_the_samples_and_the_real_images(build, data, context, digits):
    options = {"metrics": ["fid"], "feature_extractor": "pool", "n": 1000, "reference": 5000}
    evaluator = build("evaluator", "generation_quality", **options)
    trainer = Resampler(digits)
    found = evaluator.evaluate(trainer, data, context)
    made = list(sample_batches(trainer, 1000, None, noise(context, "generation_quality"), 100))
    real, generated = RunningGaussian(), RunningGaussian()
    real.update(Pool()(digits.pixels).features)
    generated.update(Pool()(to_uint8(torch.cat(made))).features)
    expected = frechet_distance(real.compute(), generated.compute())
    assert found.scalars == {"fid_1k/pool": pytest.approx(expected, rel=1e-4)}
    assert found.headline == ("fid_1k/pool",)
    protocol = dict(found.tables["protocol"].rows)
    assert protocol["feature extractor"] == "pool" and protocol["resizing"] == "none"
    assert protocol["generated images"] == "1,000" and protocol["seed"] == "0"
    assert protocol["real images"] == "1,797 of 1,797: train_images, train"
    assert "8 bits" in protocol["quantization"]


def test_features_of_real_images_are_cached_and_keyed_by_content(build, data, context, digits):
    options = {"metrics": ["kid"], "feature_extractor": "pool", "n": 50, "reference": 300}
    evaluator = build("evaluator", "generation_quality", **options)
    counts = []
    other = role_data({"train": Images(255 - digits.pixels)})
    for using in (data, data, other):
        before = Pool.seen
        evaluator.evaluate(Resampler(digits), using, context)
        counts.append(Pool.seen - before)
    assert counts == [350, 50, 350]
    for path in (context.cache / "reference").iterdir():
        path.write_bytes(b"damaged")
    before = Pool.seen
    evaluator.evaluate(Resampler(digits), data, context)
    assert Pool.seen - before == 350


def test_class_accuracy_of_a_conditional_model(build, data, context):
    options = {"metrics": ["class_accuracy", "inception_score"], "feature_extractor": "labeler", "n": 500}
    found = build("evaluator", "generation_quality", **options).evaluate(Painter(), data, context)
    assert found.scalars["class_accuracy_500/labeler"] == 100
    assert found.headline == ("class_accuracy_500/labeler", "inception_score_500/labeler")
    # Logits of 1 for the class and 0 for the nine others, classes about equally frequent: exp(log 10 - H(p)).
    sure, rest = math.e / (math.e + 9), 1 / (math.e + 9)
    expected = 10 * math.exp(sure * math.log(sure) + 9 * rest * math.log(rest))
    assert found.scalars["inception_score_500/labeler"] == pytest.approx(expected, rel=0.01)
    assert "as frequent" in dict(found.tables["protocol"].rows)["classes asked for"]


def test_class_accuracy_where_it_makes_no_sense(build, digits):
    def check(extractor, trainer, images):
        options = {"metrics": ["class_accuracy"], "feature_extractor": extractor, "n": 20}
        evaluator = build("evaluator", "generation_quality", **options)
        return evaluator.check(trainer, role_data({"train": images}, checking=True))

    with pytest.raises(UserError, match="needs a classifier of the data's own classes"):
        check("pool", Painter(), digits)
    with pytest.raises(UserError, match="needs a trainer that makes images of a class asked for"):
        check("labeler", Resampler(digits), digits)
    renamed = Images(digits.pixels, digits.labels, tuple("abcdefghij"))
    with pytest.raises(UserError, match="knows other classes"):
        check("labeler", Painter(), renamed)


def test_several_roles_need_a_choice(build, two_domains, context, digits):
    options = {"metrics": ["kid"], "feature_extractor": "pool", "n": 50, "split": "test"}
    with pytest.raises(UserError, match="which of the roles source, target"):
        build("evaluator", "generation_quality", **options).evaluate(Resampler(digits), two_domains, context)
    chosen = build("evaluator", "generation_quality", role="target", **options)
    found = chosen.evaluate(Resampler(digits), two_domains, context)
    assert "target_images, test" in dict(found.tables["protocol"].rows)["real images"]


def test_sample_grid_shows_the_first_samples(build, data, context, digits):
    found = build("evaluator", "sample_grid").evaluate(Resampler(digits), data, context)
    assert list(found.figures) == ["samples"]
    picture = found.figures["samples"].array
    assert picture.dtype == np.uint8 and picture.shape[1] >= 700 and picture.shape[2] == 3
    first = Resampler(digits).sample(32, None, noise(context, "samples"))[0]
    factor = 12  # 720 pixels by 8 images of 8 pixels, rounded up
    corner = picture[2 : 2 + 8 * factor : factor, 2 : 2 + 8 * factor : factor, 0]
    assert (corner == to_uint8(first)[0].numpy()).all()


@pytest.mark.parametrize("trainer", [Painter(), LatentPainter()], ids=["samples", "latents"])
def test_classes_in_rows_with_the_same_noise_in_a_column(trainer, build, data, context):
    assert can(trainer, Generates) == isinstance(trainer, LatentPainter)
    images = by_class(trainer, 10, 6, context).view(10, 6, 1, 8, 8)
    for label in range(10):
        torch.testing.assert_close(images[label, :, 0, 1:], torch.full((6, 7, 8), label / 4.5 - 1))
        assert torch.equal(images[label, :, 0, 0], images[0, :, 0, 0])
    assert images[0, :, 0, 0].unique(dim=0).shape[0] == 6
    found = build("evaluator", "sample_grid").evaluate(trainer, data, context)
    assert set(found.figures) == {"samples", "classes"}
    assert found.figures["classes"].array.shape[1] >= 700


def test_interpolation_begins_and_ends_at_its_latents(build, data, context):
    evaluator = build("evaluator", "interpolation", rows=2, columns=9, path="linear")
    picture = evaluator.evaluate(LatentPainter(), data, context).figures["pairs"].array
    ends = LatentPainter().latents(4, noise(context, "interpolation"))
    factor = -(-720 // 72)
    row = picture[2 + factor // 2, 2 + factor // 2 :: factor, 0]
    assert (row[:8] == to_uint8(2 * ends[0] - 1).numpy()).all()


def test_slerp_keeps_the_norm_and_the_angle():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.nn.functional.normalize(torch.randn(2, 5, 30, generator=generator), dim=2)
    middle = slerp(a, b, 0.5)
    torch.testing.assert_close(middle.norm(dim=1), torch.ones(5))
    torch.testing.assert_close((middle * a).sum(1), (middle * b).sum(1))
    torch.testing.assert_close(slerp(a, b, 0.0), a)
    torch.testing.assert_close(slerp(a, b, 1.0), b)
    torch.testing.assert_close(slerp(a, a, 0.3), a, rtol=1e-3, atol=1e-3)
