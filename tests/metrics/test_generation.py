"""Evaluators of generators, with generators whose images are known."""

import math
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pluglab.capabilities import Generates, can
from pluglab.cli.sample import requested_labels
from pluglab.data import Images, to_uint8
from pluglab.errors import UserError
from pluglab.evaluating import noise, sample_batches
from pluglab.trained import TrainedModel
from pluglab_metrics.extractors.base import Features
from pluglab_metrics.quality import cached
from pluglab_metrics.samples import by_class, slerp
from pluglab_metrics.scores.frechet import RunningGaussian, frechet_distance
from tests.evaluation import role_data
from tests.metrics.models import LatentPainter, Painter, Pool, Resampler


class Recorder:
    """Makes pure noise and remembers it."""

    def sample(self, n, labels, generator):
        assert labels is None
        self.made.append(torch.rand(n, 1, 16, 16, generator=generator) * 2 - 1)
        return self.made[-1]


@pytest.fixture
def data(digits):
    return role_data({"train": digits})


def test_quality_is_the_metric_of_the_samples_and_the_real_images(build, data, context, digits):
    options = {"metrics": ["fid"], "feature_extractor": "pool", "n": 1000, "reference": 5000}
    evaluator = build("evaluator", "generation_quality", **options)
    trainer = Resampler(digits)
    found = evaluator.evaluate(trainer, data, context)
    made = list(sample_batches(trainer, 1000, None, noise(context), 100))
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
    with pytest.warns(UserWarning, match="is damaged .* computed again"):
        evaluator.evaluate(Resampler(digits), data, context)
    assert Pool.seen - before == 350


def test_a_flipped_bit_of_what_is_kept_changes_no_number(tmp_path):
    features = Features(torch.arange(600.0).reshape(100, 6), None)
    path = tmp_path / "features.pt"
    assert torch.equal(cached(path, lambda: features).features, features.features)
    content, told = path.read_bytes(), 0
    for at in range(0, len(content), 61):
        path.write_bytes(content[:at] + bytes([content[at] ^ 16]) + content[at + 1 :])
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = cached(path, lambda: features)
        assert torch.equal(found.features, features.features) and found.logits is None, at
        told += bool(said)
    assert told > len(content) / 61 / 2  # most bytes are numbers; the rest is padding between the parts


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
    first = Resampler(digits).sample(32, None, noise(context))[0]
    factor = 12  # 720 pixels by 8 images of 8 pixels, rounded up
    corner = picture[2 : 2 + 8 * factor : factor, 2 : 2 + 8 * factor : factor, 0]
    assert (corner == to_uint8(first)[0].numpy()).all()


def test_what_was_scored_or_drawn_is_what_lab_sample_makes_of_the_seed(build, context):
    """One rule of noise for every evaluator and for a trained model."""
    context = replace(context, run_seed=7)
    trainer, made = Recorder(), {}
    larger = role_data({"train": Images(torch.randint(256, (600, 1, 16, 16)).to(torch.uint8))})
    for name, options in {
        "generation_quality": {"metrics": ["kid"], "feature_extractor": "pool", "n": 250},
        "sample_grid": {"count": 250},
        "training_animation": {"count": 250},
        "sliced_wasserstein": {"n": 250},
    }.items():
        trainer.made = []
        build("evaluator", name, **options).evaluate(trainer, larger, context)
        made[name] = torch.cat(trainer.made)
    fabric = SimpleNamespace(device=context.device)
    model = TrainedModel(None, None, trainer, {}, 100, fabric, None)
    sampled = torch.cat(list(model.sample_batches(250, None, seed=7)))
    assert sampled.flatten(1).unique(dim=0).shape[0] == 250  # no batch repeats the noise of another
    for name, images in made.items():
        assert torch.equal(to_uint8(images), sampled), name


@pytest.mark.parametrize("name", ["generation_quality", "sliced_wasserstein"])
def test_the_scored_images_of_a_conditional_model_can_be_made_again(name, build, context):
    class Recording:
        num_classes, made = 10, []

        def sample(self, n, labels, generator):
            noise = torch.rand(n, 1, 16, 16, generator=generator)
            self.made.append(noise * labels.view(-1, 1, 1, 1) / 5 - 1)
            return self.made[-1]

    names = (*"abcdefgh", "i, j", "9")
    pixels = torch.randint(256, (600, 1, 16, 16)).to(torch.uint8)
    data = role_data({"train": Images(pixels, torch.arange(600) % 7 + 3, names)})
    options = {"metrics": ["kid"], "feature_extractor": "pool"} if name == "generation_quality" else {}
    trainer = Recording()
    build("evaluator", name, n=150, **options).evaluate(trainer, data, context)
    made = to_uint8(torch.cat(trainer.made))
    labels = requested_labels(str(context.folder / "it_classes.csv"), 150, names)
    model = TrainedModel(None, None, trainer, {}, 100, SimpleNamespace(device=context.device), None)
    assert torch.equal(torch.cat(list(model.sample_batches(150, labels, context.run_seed))), made)
    with pytest.raises(UserError, match="150 of 151 classes in its column 'label'"):
        requested_labels(str(context.folder / "it_classes.csv"), 151, names)


@pytest.mark.parametrize("trainer", [Painter(), LatentPainter()], ids=["samples", "latents"])
def test_a_row_of_a_class_is_what_lab_sample_makes_of_it(trainer, context):
    rows = by_class(trainer, 10, 6, 100, context).view(10, 6, 1, 8, 8)
    model = TrainedModel(None, None, trainer, {}, 100, SimpleNamespace(device=context.device), None)
    (sampled,) = model.sample_batches(6, torch.full((6,), 3), context.run_seed)
    assert torch.equal(to_uint8(rows[3]), sampled)


@pytest.mark.parametrize("trainer", [Painter(), LatentPainter()], ids=["samples", "latents"])
def test_classes_in_rows_with_the_same_noise_in_a_column(trainer, build, data, context):
    assert can(trainer, Generates) == isinstance(trainer, LatentPainter)
    images = by_class(trainer, 10, 6, 4, context).view(10, 6, 1, 8, 8)
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
    ends = LatentPainter().latents(4, noise(context))
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
