"""Evaluators of generators, with generators whose images are known."""

import math

import numpy as np
import pytest
import torch

from pluglab.data import Images, to_float, to_uint8
from pluglab.errors import UserError
from pluglab.plugins.registry import Registrar, Registry
from pluglab_metrics.extractors.base import Features
from pluglab_metrics.plugin import lab_register
from pluglab_metrics.samples import by_class, slerp
from pluglab_metrics.sampling import Generates, noise, sampled
from pluglab_metrics.scores.frechet import RunningGaussian, frechet_distance


class Pool:
    """Features are pixels pooled to 4 x 4; counts the images that it has seen."""

    name, identity, classes, notes = "pool", "pool-1", None, {"resizing": "none"}
    seen = 0

    def prepare(self, context):
        """Needs nothing."""

    def to(self, device):
        """Has no weights."""

    def __call__(self, images):
        Pool.seen += len(images)
        return Features(torch.nn.functional.adaptive_avg_pool2d(images.float(), 4).flatten(1))


class Labeller(Pool):
    """Reads the class that `Painter` paints."""

    name, identity, classes = "labeller", "labeller-1", tuple("0123456789")

    def __call__(self, images):
        level = to_float(images)[:, :, 1:].mean((1, 2, 3)).add(1).mul(4.5).round().long().clamp(0, 9)
        return Features(super().__call__(images).features, torch.eye(10)[level])


class Resampler:
    """Draws digits from the data set itself, in another order and slightly dimmed."""

    def __init__(self, images):
        self.images = images

    def sample(self, n, labels, generator):
        assert labels is None
        index = torch.randint(len(self.images), (n,), generator=generator)
        return to_float(self.images.pixels[index]) * 0.9 - 0.1


class Painter:
    """Class k is a flat image of brightness k, with the noise in its first row."""

    num_classes = 10

    def sample(self, n, labels, generator):
        return self.paint(torch.rand(n, 8, generator=generator), labels)

    def paint(self, rows, labels):
        images = (labels.view(-1, 1, 1, 1) / 4.5 - 1).repeat(1, 1, 8, 8)
        images[:, 0, 0] = 2 * rows - 1
        return images


class LatentPainter(Painter):
    def latents(self, n, generator):
        return torch.rand(n, 8, generator=generator)

    def generate(self, latents, labels):
        return self.paint(latents, labels)


@pytest.fixture
def registry():
    registrar = Registrar("metrics")
    lab_register(registrar)
    registrar.add("feature_extractor", "pool", Pool)
    registrar.add("feature_extractor", "labeller", Labeller)
    return Registry(registrar.entries)


@pytest.fixture
def data(data_of, digits):
    return {"train": {split: data_of("train", split, digits) for split in ("train", "test")}}


def test_quality_is_the_metric_of_the_samples_and_the_real_images(build, data, context, digits):
    options = {"metrics": ["fid"], "feature_extractor": "pool", "n": 1000, "reference": 5000}
    evaluator = build("evaluator", "generation_quality", **options)
    trainer = Resampler(digits)
    found = evaluator.evaluate(trainer, data, context)
    made = list(sampled(trainer, 1000, None, noise(context, "generation_quality"), 100))
    real, generated = RunningGaussian(), RunningGaussian()
    real.update(Pool()(digits.pixels).features)
    generated.update(Pool()(to_uint8(torch.cat(made))).features)
    expected = frechet_distance(real.compute(), generated.compute())
    assert found.scalars == {"fid_1k/pool": pytest.approx(expected, rel=1e-4)}
    assert found.headline == ("fid_1k/pool",)
    protocol = dict(found.tables["protocol"].rows)
    assert protocol["feature extractor"] == "pool" and protocol["resizing"] == "none"
    assert protocol["generated images"] == "1,000, seed 0"
    assert protocol["real images"] == "1,797 of 1,797: train, train"
    assert "8 bits" in protocol["quantisation"]


def test_features_of_real_images_are_cached_and_keyed_by_content(build, data, data_of, context, digits):
    options = {"metrics": ["kid"], "feature_extractor": "pool", "n": 50, "reference": 300}
    evaluator = build("evaluator", "generation_quality", **options)
    counts = []
    other = {"train": {"train": data_of("train", "train", Images(255 - digits.pixels))}}
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
    options = {"metrics": ["class_accuracy", "inception_score"], "feature_extractor": "labeller", "n": 500}
    found = build("evaluator", "generation_quality", **options).evaluate(Painter(), data, context)
    assert found.scalars["class_accuracy_500/labeller"] == 100
    assert found.headline == ("class_accuracy_500/labeller", "inception_score_500/labeller")
    # Logits of 1 for the class and 0 for the nine others, classes about equally frequent: exp(log 10 - H(p)).
    sure, rest = math.e / (math.e + 9), 1 / (math.e + 9)
    expected = 10 * math.exp(sure * math.log(sure) + 9 * rest * math.log(rest))
    assert found.scalars["inception_score_500/labeller"] == pytest.approx(expected, rel=0.01)
    assert "as frequent" in dict(found.tables["protocol"].rows)["classes asked for"]


def test_class_accuracy_where_it_makes_no_sense(build, data, data_of, context, digits):
    def evaluate(extractor, trainer, using):
        options = {"metrics": ["class_accuracy"], "feature_extractor": extractor, "n": 20}
        return build("evaluator", "generation_quality", **options).evaluate(trainer, using, context)

    with pytest.raises(UserError, match="needs a classifier of the data's own classes"):
        evaluate("pool", Painter(), data)
    with pytest.raises(UserError, match="needs a trainer that makes images of a class asked for"):
        evaluate("labeller", Resampler(digits), data)
    renamed = Images(digits.pixels, digits.labels, tuple("abcdefghij"))
    with pytest.raises(UserError, match="knows other classes"):
        evaluate("labeller", Painter(), {"train": {"train": data_of("train", "train", renamed)}})


def test_several_roles_need_a_choice(build, two_domains, context, digits):
    options = {"metrics": ["kid"], "feature_extractor": "pool", "n": 50, "split": "test"}
    with pytest.raises(UserError, match="which of the roles source, target"):
        build("evaluator", "generation_quality", **options).evaluate(Resampler(digits), two_domains, context)
    chosen = build("evaluator", "generation_quality", role="target", **options)
    found = chosen.evaluate(Resampler(digits), two_domains, context)
    assert "target, test" in dict(found.tables["protocol"].rows)["real images"]


def test_sample_grid_shows_the_first_samples(build, data, context, digits):
    found = build("evaluator", "sample_grid").evaluate(Resampler(digits), data, context)
    assert list(found.figures) == ["samples"]
    picture = found.figures["samples"]
    assert picture.dtype == np.uint8 and picture.shape[1] >= 700 and picture.shape[2] == 3
    first = Resampler(digits).sample(32, None, noise(context, "samples"))[0]
    factor = 12  # 720 pixels by 8 images of 8 pixels, rounded up
    corner = picture[2 : 2 + 8 * factor : factor, 2 : 2 + 8 * factor : factor, 0]
    assert (corner == to_uint8(first)[0].numpy()).all()


@pytest.mark.parametrize("trainer", [Painter(), LatentPainter()], ids=["samples", "latents"])
def test_classes_in_rows_with_the_same_noise_in_a_column(trainer, build, data, context):
    assert isinstance(trainer, Generates) == isinstance(trainer, LatentPainter)
    images = by_class(trainer, 10, 6, context).view(10, 6, 1, 8, 8)
    for label in range(10):
        torch.testing.assert_close(images[label, :, 0, 1:], torch.full((6, 7, 8), label / 4.5 - 1))
        assert torch.equal(images[label, :, 0, 0], images[0, :, 0, 0])
    assert images[0, :, 0, 0].unique(dim=0).shape[0] == 6
    found = build("evaluator", "sample_grid").evaluate(trainer, data, context)
    assert set(found.figures) == {"samples", "classes"}
    assert found.figures["classes"].shape[1] >= 700


def test_interpolation_begins_and_ends_at_its_latents(build, data, context):
    evaluator = build("evaluator", "interpolation", rows=2, columns=9, path="linear")
    picture = evaluator.evaluate(LatentPainter(), data, context).figures["pairs"]
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
