"""Metrics of torchmetrics, registered as they are: options, values as by hand, and the places they belong."""

import pytest
import torch
from torchmetrics import CosineSimilarity, MeanMetric, Metric
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassCalibrationError,
    MulticlassF1Score,
)
from torchmetrics.image import StructuralSimilarityIndexMeasure, TotalVariation

from pluglab.components import config_class
from pluglab.data import Images, to_float, to_uint8
from pluglab.errors import UserError
from pluglab.evaluating import images_at, labels_like, noise, sample_batches, sample_rows
from pluglab.plugins.registry import Registrar
from pluglab.recipe.resolve import make
from pluglab_metrics.running import RunningMetric
from tests.evaluation import looked, role_data
from tests.metrics.models import Painter, Pool, Reader, Resampler, TinyKID, per_class_accuracy
from tests.registries import registry_of

F1 = {"name": "f1", "num_classes": 10}


def probabilities(images):
    return Reader().predict(to_float(images.pixels), "source").softmax(1)


def drawn(trainer, n, context, labels=None):
    """The images that `generation_quality` compares, uint8."""
    batches = sample_batches(trainer, n, labels, noise(context), 100)
    return to_uint8(torch.cat(list(batches)))


def real_images(images, count):
    """Those that they are compared with, uint8."""
    part = role_data({"train": images})["train"]["train"]
    return to_uint8(images_at(part, sample_rows(part, count, 0)))


# Options -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "required"),
    [
        ("f1", {"num_classes", "top_k", "average", "ignore_index"}, {"num_classes"}),
        ("hits", {"num_classes", "top_k", "average"}, set()),  # its base has the constructor
        ("task_f1", {"task", "num_classes", "average"}, {"task"}),  # a class that makes one of others
        ("calibration", {"num_classes", "n_bins", "norm"}, {"num_classes"}),
        ("ssim", {"data_range", "kernel_size", "sigma"}, set()),
    ],
)
def test_options_are_those_of_the_signature(registry, name, options, required):
    fields = config_class(registry.find("metric", name)).model_fields
    assert options <= fields.keys() and "validate_args" not in fields
    assert {key for key, field in fields.items() if field.is_required()} == required
    assert all(field.description for field in fields.values())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "needs the option 'num_classes'"),
        ({"num_classes": "ten"}, "num_classes"),
        ({"num_classes": 10, "averge": "macro"}, "unknown option 'averge'"),
        ({"num_classes": 10, "average": "makro"}, "average"),
    ],
)
def test_wrong_options_are_told_by_name(registry, options, words):
    with pytest.raises(UserError, match=words):
        make(registry, "metric", "f1", **options)


def test_options_arrive(registry):
    metric = make(registry, "metric", "f1", num_classes=7, average="weighted", top_k=2).build()
    assert isinstance(metric, MulticlassF1Score)
    assert (metric.num_classes, metric.average, metric.top_k) == (7, "weighted", 2)
    one = make(registry, "metric", "task_f1", task="multiclass", num_classes=7).build()
    assert isinstance(one, MulticlassF1Score) and one.num_classes == 7


# Values ------------------------------------------------------------------------------------------------


def test_classification_equals_calling_them_by_hand(build, domains, context, digits):
    weighted = {"name": "task_f1", "task": "multiclass", "num_classes": 10, "average": "weighted"}
    calibration = {"name": "calibration", "num_classes": 10, "n_bins": 5}
    evaluator = build("evaluator", "classification", metrics=[F1, weighted, calibration, "mean"])
    found = looked(evaluator, Reader(), domains, context)
    p = probabilities(digits)
    expected = {
        "f1/source": MulticlassF1Score(10)(p, digits.labels),
        "task_f1/source": MulticlassF1Score(10, average="weighted")(p, digits.labels),
        "calibration/source": MulticlassCalibrationError(10, n_bins=5)(p, digits.labels),
        "mean/source": MeanMetric()(p),
    }
    assert found.found.scalars == pytest.approx({k: v.item() for k, v in expected.items()}, rel=1e-5)
    assert list(found.promise) == list(expected) == list(found.found.headline)
    assert 0 < found.found.scalars["f1/source"] < 1 and 0 < found.found.scalars["calibration/source"] < 1
    options = {key: value["metric"] for key, value in found.found.protocols.items()}
    assert options["calibration/source"]["n_bins"] == 5 and options["f1/source"]["average"] == "macro"


def test_several_scores_of_one_metric_are_numbered(build, domains, context, digits):
    found = looked(build("evaluator", "classification", metrics=["per_class"]), Reader(), domains, context)
    expected = per_class_accuracy()(probabilities(digits), digits.labels).tolist()
    scalars = found.found.scalars
    assert [scalars[f"per_class_{i}/source"] for i in range(10)] == pytest.approx(expected)


def test_nothing_is_kept_from_one_role_or_look_to_the_next(build, context, digits):
    evaluator = build("evaluator", "classification", metrics=[F1])
    halves = [Images(digits.pixels[i::2], digits.labels[i::2], digits.classes) for i in (0, 1)]
    both = looked(evaluator, Reader(), dict(zip("ab", halves, strict=True)), context).found.scalars
    for name, half in zip("ab", halves, strict=True):
        again = looked(evaluator, Reader(), {name: half}, context).found.scalars
        by_hand = MulticlassF1Score(10)(probabilities(half), half.labels)
        assert again == {f"f1/{name}": both[f"f1/{name}"]} == {f"f1/{name}": by_hand.item()}


def test_kid_of_images_equals_calling_it_by_hand_and_needs_no_extractor(build, context, digits):
    """All images in each subset, so that which ones are drawn is no matter."""
    metric = {"name": "tiny_kid", "subsets": 3, "subset_size": 60}
    options = {"n": 60, "reference": 60}
    trainer, seen = Resampler(Images(255 - digits.pixels)), Pool.seen
    nowhere = {"name": "inception", "url": "http://127.0.0.1:9/none"}
    unused = build("evaluator", "generation_quality", metrics=[metric], feature_extractor=nowhere, **options)
    found = looked(unused, trainer, {"train": digits}, context).found
    assert "feature extractor" not in found.protocol
    by_hand = TinyKID(subsets=1, subset_size=60)
    by_hand.update(real_images(digits, 60), real=True)
    by_hand.update(drawn(trainer, 60, context), real=False)
    assert found.scalars == {
        "tiny_kid_60": pytest.approx(by_hand.compute()[0].item(), rel=1e-4),
        "tiny_kid_std_60": pytest.approx(0, abs=1e-6),
    }
    assert found.headline == ("tiny_kid_60",) and found.scalars["tiny_kid_60"] > 0.1
    both = build(
        "evaluator", "generation_quality", metrics=["kid", metric], feature_extractor="pool", **options
    )
    found = looked(both, trainer, {"train": digits}, context).found
    assert list(found.scalars) == ["kid_60/pool", "kid_std_60/pool", "tiny_kid_60", "tiny_kid_std_60"]
    assert Pool.seen == seen + 120 and found.protocol["feature extractor"] == "pool"


def test_similarity_of_reconstructions_equals_calling_it_by_hand(build, context, digits):
    metric = {"name": "ssim", "data_range": 1.0, "kernel_size": 3, "sigma": 0.5}
    evaluator = build("evaluator", "reconstructions", metrics=[metric], images=5000)
    found = looked(evaluator, Reader(), {"train": digits}, context).found
    original = to_float(digits.pixels)
    by_hand = StructuralSimilarityIndexMeasure(data_range=1.0, kernel_size=3, sigma=0.5)
    expected = by_hand((original * 0.5 + 1) / 2, (original + 1) / 2)
    assert found.scalars["ssim/train/reconstruction"] == pytest.approx(expected.item(), rel=1e-4)
    assert 0 < expected < 0.99
    assert found.protocols["ssim/train/reconstruction"]["metric"]["kernel_size"] == 3


def test_similarity_keeps_nothing_from_one_role_to_the_next(build, context, digits):
    metric = {"name": "ssim", "data_range": 1.0, "kernel_size": 3, "sigma": 0.5}
    evaluator = build("evaluator", "reconstructions", metrics=[metric])
    roles = {"first": digits, "second": Images(digits.pixels // 4)}
    together = looked(evaluator, Reader(), roles, context).found.scalars
    alone = looked(evaluator, Reader(), {"second": roles["second"]}, context).found.scalars
    assert alone.items() <= together.items()
    first, second = (together[f"ssim/{role}/reconstruction"] for role in roles)
    assert abs(first - second) > 0.01


def test_classes_of_generated_images_as_a_digit_classifier_reads_them(context, data_context, digits):
    """A generator that copies a digit of the class asked for, and of the next class once in four times."""
    registry, registrar = registry_of("metrics"), Registrar("tiny")

    class Tiny:
        def prepare(self, context):
            """Needs nothing."""

        def split(self, name):
            return digits

    class Copies:
        num_classes = 10

        def sample(self, n, labels, generator):
            asked = torch.where(torch.arange(n) % 4 == 0, (labels + 1) % 10, labels)
            rows = torch.stack([(digits.labels == label).nonzero()[0, 0] for label in asked])
            return to_float(digits.pixels[rows])

    registrar.add("dataset", "tiny", Tiny)
    registrar.add("metric", "hits", "torchmetrics.classification:MulticlassAccuracy")
    registry.extend(registrar.entries)
    judge = {"name": "digit_classifier", "dataset": "tiny", "steps": 120, "shift": 0}
    metrics = [{"name": "hits", "num_classes": 10, "average": "micro"}, "class_accuracy"]
    options = {"metrics": metrics, "feature_extractor": judge, "n": 200}
    evaluator = make(registry, "evaluator", "generation_quality", **options).build()
    evaluator.prepare(data_context)
    found = looked(evaluator, Copies(), {"train": digits}, context).found.scalars
    real = role_data({"train": digits})["train"]["train"]
    labels = labels_like(Copies(), real, 200, context.seed)
    with torch.no_grad():
        logits = evaluator.extractor(drawn(Copies(), 200, context, labels)).logits
    expected = MulticlassAccuracy(10, average="micro")(logits, labels).item()
    assert found["hits_200/digit_classifier_tiny"] == pytest.approx(expected)
    assert found["class_accuracy_200/digit_classifier_tiny"] == pytest.approx(100 * expected)
    assert 0.6 < expected < 0.8


def test_metrics_of_features_and_of_single_images(build, context, digits):
    options = {"metrics": ["mean", "cosine", "variation"], "feature_extractor": "pool"}
    evaluator = build("evaluator", "generation_quality", n=30, reference=40, **options)
    scalars = looked(evaluator, Resampler(digits), {"train": digits}, context).found.scalars
    made = drawn(Resampler(digits), 30, context)
    features, others = Pool()(made).features, Pool()(real_images(digits, 40)).features[:30]
    assert scalars == {
        "mean_30/pool": pytest.approx(features.mean().item(), rel=1e-5),
        "cosine_30/pool": pytest.approx(CosineSimilarity()(features, others).item(), rel=1e-5),
        "variation_30": pytest.approx(TotalVariation()(made / 255).item(), rel=1e-5),
    }


# What images are given as ------------------------------------------------------------------------------


class Noting(Metric):
    """Notes what it is given, as LPIPS is with `normalize`."""

    def __init__(self, normalize: bool) -> None:
        super().__init__()
        self.normalize, self.seen = normalize, []

    def compute(self):
        return 0.0


class Pair(Noting):
    def update(self, img1, img2) -> None:
        self.seen += [img1, img2]


class Sample(Noting):
    def update(self, imgs, real: bool) -> None:
        self.seen.append(imgs)


def test_a_metric_that_is_derived_from_one_of_torchmetrics_reads_the_same():
    class MyF1(MulticlassF1Score):
        """Of another module."""

    registrar, registry = Registrar("mine"), registry_of()
    registrar.add("metric", "mine", MyF1)
    registry.extend(registrar.entries)
    assert RunningMetric(make(registry, "metric", "mine", num_classes=3)).reads == "classes"


@pytest.mark.parametrize(
    ("kind", "normalize", "values"),
    [
        (Pair, False, "[-1, 1]"),
        (Pair, True, "[0, 1]"),
        (Sample, False, "uint8"),
        (Sample, True, "[0, 1]"),
    ],
)
def test_images_come_in_the_range_that_normalize_tells(kind, normalize, values):
    registrar, registry = Registrar("noting"), registry_of()
    registrar.add("metric", "noting", kind)
    registry.extend(registrar.entries)
    running = RunningMetric(make(registry, "metric", "noting", normalize=normalize))
    assert running.values == values and running.reads == "images"
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 1, 1, 3)
    expected = {"uint8": pixels, "[0, 1]": pixels / 255, "[-1, 1]": to_float(pixels)}[values]
    for images in (pixels, to_float(pixels)):  # as stored, and as a trainer sees them
        running.update_images(*[images] * (2 if kind is Pair else 1), real=None if kind is Pair else True)
    for seen in running.metric.seen:
        assert seen.dtype == expected.dtype
        torch.testing.assert_close(seen, expected)


def test_a_metric_that_can_be_moved_computes_on_the_device_of_the_evaluation(registry):
    running, moves = RunningMetric(make(registry, "metric", "f1", num_classes=3)), []
    running.metric.to = moves.append
    running.to(torch.device("meta"))
    assert moves == [torch.device("meta")]
    given = []
    running.metric.update = lambda *values: given.extend(values)
    running.update(torch.zeros(2, 3), torch.zeros(2))
    assert all(value.is_meta for value in given)
    RunningMetric(make(registry, "metric", "kid")).to(torch.device("meta"))  # ours have nothing to move


# Places ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("evaluator", "metric", "place"),
    [
        ("classification", "ssim", "'reconstructions'"),
        ("generation_quality", "ssim", "'reconstructions'"),
        ("classification", "tiny_kid", "'generation_quality'"),
        ("reconstructions", "tiny_kid", "'generation_quality'"),
        ("classification", "fid", "'generation_quality'"),
        ("reconstructions", "fid", "'generation_quality'"),
        ("reconstructions", F1, "'classification' or 'generation_quality'"),
        ("reconstructions", "mean", "'classification' or 'generation_quality'"),
        ("classification", "class_accuracy", "'generation_quality'"),
    ],
)
def test_a_metric_in_a_place_that_cannot_feed_it_is_told_where_it_belongs(build, evaluator, metric, place):
    more = {"feature_extractor": "pool"} if evaluator == "generation_quality" else {}
    with pytest.raises(UserError, match=f"'{evaluator}' cannot feed the metric") as told:
        build("evaluator", evaluator, metrics=[metric], **more)
    assert told.value.help == (f"it has its place in the evaluator {place}",)


def test_a_metric_that_cannot_take_these_classes_is_told_before_the_training(build, domains):
    evaluator = build("evaluator", "classification", metrics=[{"name": "f1", "num_classes": 3}])
    with pytest.raises(
        UserError, match="'f1' cannot take probabilities of the 10 classes of 'source'"
    ) as told:
        evaluator.check(Reader(), role_data(domains, checking=True))
    assert "number of classes" in told.value.help[0]
    assert "lab show metric f1" in told.value.help[-1]


@pytest.mark.parametrize(
    "metrics", [["fid", "fid"], ["precision_recall", {"name": "precision_recall", "k": 3}]]
)
def test_two_metrics_of_one_name_would_hide_each_other(build, metrics):
    with pytest.raises(UserError, match="two metrics of 'generation_quality' would report") as told:
        build("evaluator", "generation_quality", metrics=metrics, feature_extractor="pool")
    assert told.value.help


def test_metrics_of_classes_need_a_classifier_and_a_trainer_that_is_asked_for_them(build, digits):
    data = role_data({"train": digits}, checking=True)
    options = {"metrics": [{"name": "hits", "num_classes": 10}], "n": 20}
    with pytest.raises(UserError, match="'hits' needs a classifier of the data's own classes"):
        build("evaluator", "generation_quality", feature_extractor="pool", **options)
    evaluator = build("evaluator", "generation_quality", feature_extractor="labeler", **options)
    with pytest.raises(UserError, match="'hits' needs a trainer that makes images of a class asked for"):
        evaluator.check(Resampler(digits), data)
    assert evaluator.check(Painter(), data) is None  # what it reports, it does not say
