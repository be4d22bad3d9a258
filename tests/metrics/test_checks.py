"""What evaluators say before the training: what they will report, whose labels that takes, what cannot be."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pluglab import Options
from pluglab.data import Images
from pluglab.errors import UserError
from pluglab_metrics.extractors.digit_classifier import DigitClassifier
from tests.evaluation import context_in, looked, role_data
from tests.metrics.models import Inverter, LatentPainter, Painter, Reader, Resampler

NEIGHBORS = ("precision", "recall", "density", "coverage")
CLASSES = ("inception_score", "inception_score_std", "class_accuracy")


def pictures(size=32, count=40, labeled=True):
    generator = torch.Generator().manual_seed(size)
    pixels = torch.randint(0, 256, (count, 1, size, size), generator=generator).to(torch.uint8)
    return Images(pixels, torch.arange(count) % 10 if labeled else None, tuple("0123456789"))


F1 = {"name": "f1", "num_classes": 10}


class Tuned(Painter):
    """Has options of sampling, none."""

    sampling = Options()


class Noise:
    """Draws 32 x 32 noise."""

    def sample(self, n, labels, generator):
        return 2 * torch.rand(n, 1, 32, 32, generator=generator) - 1


# Name, trainer, options, roles (the two domains, where there are none), and what is promised.
CASES = [
    ("accuracy", Reader(), {}, None, {"accuracy/source": ["source"]}),
    ("accuracy", Reader(), {"split": "train"}, None, {"accuracy/source/train": ["source"]}),
    ("classification", Reader(), {"metrics": [F1]}, None, {"f1/source": ["source"]}),
    (
        "classification",
        Reader(),
        {"metrics": [F1, "per_class"], "split": "train"},
        None,
        {f"{name}/source/train": ["source"] for name in ("f1", *(f"per_class_{i}" for i in range(10)))},
    ),
    ("latent_tsne", Reader(), {"points": 40}, None, {}),
    ("learning_curves", Reader(), {}, None, {}),
    ("proxy_a_distance", Reader(), {"images": 40}, None, {"proxy_a_distance": []}),
    ("reconstructions", Reader(), {}, None, None),
    (
        "generation_quality",
        Painter(),
        {
            "metrics": ["fid", "kid", "precision_recall", "inception_score", "class_accuracy"],
            "feature_extractor": "labeler",
            "n": 1000,
        },
        {"train": pictures(8)},
        {f"{name}_1k/labeler": ["train"] for name in ("fid", "kid", "kid_std", *NEIGHBORS, *CLASSES)},
    ),
    (
        "generation_quality",
        Noise(),
        {"metrics": ["fid"], "feature_extractor": "pool", "n": 50, "role": "target"},
        {"source": pictures(), "target": pictures()},
        {"fid_50/pool": []},
    ),
    (
        "generation_quality",
        Painter(),
        {"metrics": ["kid"], "feature_extractor": "pool", "n": 50},
        {"train": pictures(8, labeled=False)},
        {"kid_50/pool": [], "kid_std_50/pool": []},
    ),
    (
        "generation_quality",
        Painter(),
        {
            "metrics": ["kid", "class_accuracy"],
            "feature_extractor": "labeler",
            "n": 50,
            "intervals": True,
        },
        {"train": pictures(8)},
        {
            name: ["train"]
            for name in (
                *("kid_50/labeler", "kid_std_50/labeler", "class_accuracy_50/labeler"),
                *(f"kid_50/labeler/{end}" for end in ("low", "high", "real")),
                *(f"class_accuracy_50/labeler/{end}" for end in ("low", "high", "real")),
            )
        },
    ),
    (
        "generation_quality",
        Painter(),
        {"metrics": ["class_accuracy"], "feature_extractor": "labeler", "n": 50, "intervals": True},
        {"train": pictures(8, labeled=False)},
        {f"class_accuracy_50/labeler{end}": [] for end in ("", "/low", "/high")},
    ),
    (
        "nearest_training_images",
        Noise(),
        {"n": 20, "shown": 3},
        {"train": pictures()},
        {"nearer_20/pixels": [], "copied_20/pixels": []},
    ),
    (
        "nearest_training_images",
        Painter(),
        {"n": 20, "held_out": "", "feature_extractor": "pool"},
        {"train": pictures(8)},
        {"copied_20/pool": ["train"]},
    ),
    (
        "sliced_wasserstein",
        Noise(),
        {"n": 15, "patches": 4, "directions": 8},
        {"train": pictures()},
        {f"sliced_wasserstein_15/{name}": [] for name in (32, 16, "mean", "real")},
    ),
    (
        "sliced_wasserstein",
        Painter(),
        {"n": 1000, "patches": 2, "directions": 8},
        {"train": pictures(8)},
        {f"sliced_wasserstein_20/{name}": ["train"] for name in (8, "mean", "real")},
    ),
    ("sample_grid", Painter(), {}, {"train": pictures(8)}, {}),
    ("training_animation", Painter(), {}, {"train": pictures(8)}, {}),
    ("interpolation", LatentPainter(), {}, {"train": pictures(8)}, {}),
    ("sampled_with", Tuned(), {"evaluator": "sample_grid"}, {"train": pictures(8)}, {"default_seconds": []}),
    ("translated", Inverter(), {"evaluator": "sample_grid"}, None, {}),
]


def test_every_evaluator_is_here(registry):
    names = {entry.name for entry in registry.entries("evaluator") if entry.plugin == "metrics"}
    assert names == {name for name, *_ in CASES}


@pytest.mark.parametrize(("name", "trainer", "options", "roles", "promised"), CASES)
@pytest.mark.filterwarnings("ignore:FID of")
def test_exactly_what_was_promised_is_reported_from_the_labels_that_were_said(
    name, trainer, options, roles, promised, build, domains, context
):
    found = looked(build("evaluator", name, **options), trainer, roles or domains, context)
    if promised is None:
        assert found.promise is None and found.labels_read == set()
        return
    assert {key: list(labels) for key, labels in found.promise.items()} == promised
    assert list(found.found.scalars) == list(promised)
    if promised:
        assert found.labels_read == {role for labels in promised.values() for role in labels}


def test_labels_that_only_color_a_picture_make_no_score(build, domains, context):
    found = looked(build("evaluator", "latent_tsne", points=40), Reader(), domains, context)
    assert found.labels_read == {"source"} and found.promise == {} == found.found.scalars


def test_what_is_reported_can_be_told_apart_by_its_protocol(build, domains, context):
    def protocol(**options):
        return looked(build("evaluator", "accuracy", **options), Reader(), domains, context).found.protocol

    assert protocol() == protocol(batch_size=7) != protocol(split="train")


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, _, _, roles, _ in CASES
        if roles is None and name not in ("learning_curves", "translated")
    ],
)
@pytest.mark.parametrize(
    ("options", "message"),
    [({"roles": ["sauce", "target"]}, "no role 'sauce'"), ({"split": "dev"}, "no split 'dev'")],
)
def test_an_unknown_role_or_split_is_told_before_the_training(build, domains, name, options, message):
    more = {"metrics": [F1]} if name == "classification" else {}
    evaluator = build("evaluator", name, **more, **options)
    with pytest.raises(UserError, match=message) as told:
        evaluator.check(Reader(), role_data(domains, checking=True))
    assert told.value.help


@pytest.mark.parametrize("name", ["generation_quality", "sliced_wasserstein"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "which of the roles source, target"),
        ({"role": "sauce"}, "no role 'sauce'"),
        ({"role": "target", "split": "dev"}, "no split 'dev'"),
    ],
)
def test_an_unknown_reference_is_told_before_the_training(build, domains, digits, name, options, message):
    more = {"metrics": ["kid"], "feature_extractor": "pool"} if name == "generation_quality" else {}
    evaluator = build("evaluator", name, n=20, **more, **options)
    with pytest.raises(UserError, match=message) as told:
        evaluator.check(Resampler(digits), role_data(domains, checking=True))
    assert told.value.help


@pytest.mark.parametrize(("name", "more"), [("accuracy", {}), ("classification", {"metrics": [F1]})])
def test_roles_without_labels_are_told_before_the_training(build, domains, name, more):
    target = {"target": domains["target"]}
    for roles, options, message in (
        (domains, {"roles": ["source", "target"]}, "role 'target' has no labels in split 'test'"),
        (target, {}, "no role has labels in split 'test'"),
    ):
        with pytest.raises(UserError, match=message) as told:
            build("evaluator", name, **more, **options).check(Reader(), role_data(roles, checking=True))
        assert told.value.help


@pytest.mark.parametrize(
    ("metric", "count", "n", "message"),
    [
        ({"name": "inception_score", "splits": 20}, 40, 19, "20 splits needs as many images, n is 19"),
        ({"name": "precision_recall", "k": 30}, 40, 30, "30 neighbors need more images .* 40 real, 30 made"),
        ({"name": "precision_recall", "k": 5}, 5, 30, "5 neighbors need more images .* 5 real, 30 made"),
        ("fid", 1, 30, "one image of 'train' is too few"),
    ],
)
def test_too_few_images_are_told_before_the_training(build, metric, count, n, message):
    options = {"metrics": [metric], "feature_extractor": "labeler", "n": n}
    data = role_data({"train": pictures(8, count)}, checking=True)
    with pytest.raises(UserError, match=message) as told:
        build("evaluator", "generation_quality", **options).check(Painter(), data)
    assert told.value.help


def test_counts_that_just_suffice_are_fine(build, context):
    metrics = [{"name": "inception_score", "splits": 7}, {"name": "precision_recall", "k": 6}]
    options = {"metrics": metrics, "feature_extractor": "labeler", "n": 7}
    looked(build("evaluator", "generation_quality", **options), Painter(), {"train": pictures(8, 7)}, context)


def test_few_images_and_small_ones_are_told_before_the_training(build, domains):
    few = {"source": domains["source"], "target": pictures(8, count=19)}
    with pytest.raises(UserError, match="'target' has 19 images") as told:
        build("evaluator", "proxy_a_distance").check(Reader(), role_data(few, checking=True))
    assert "20" in told.value.help[0]
    for images, message in ((pictures(6), "images of 6 x 6"), (pictures(8, count=3), "there are 3")):
        with pytest.raises(UserError, match=message):
            data = role_data({"train": images}, checking=True)
            build("evaluator", "sliced_wasserstein").check(Noise(), data)


def test_a_check_cannot_read_what_the_training_has_not_seen(domains):
    data = role_data(domains, checking=True)["source"]["test"]
    for read in (lambda: data.labels, lambda: data.raw(1), lambda: next(data.batches())):
        with pytest.raises(UserError, match="shapes and counts, not for content"):
            read()


@pytest.mark.parametrize("channels", [2, 4])
def test_images_that_are_neither_gray_nor_in_color(channels, build):
    """Scores by a network of gray and color images refuse them before the training; the others work."""

    class Many:
        def sample(self, n, labels, generator):
            return torch.rand(n, channels, 16, 24, generator=generator)

    roles = {"train": Images(torch.randint(256, (40, channels, 16, 24)).to(torch.uint8))}
    options = {"metrics": ["fid"], "n": 20}
    classifier = DigitClassifier(SimpleNamespace(dataset=SimpleNamespace(name="digits")))
    for extractor in (classifier, build("feature_extractor", "inception")):
        extractor.record = {"shape": [1, 8, 8]}
        with pytest.raises(UserError, match=f"and these have {channels} channels"):
            extractor.check(role_data(roles)["train"]["train"].spec)
    quality = build("evaluator", "generation_quality", feature_extractor="pool", **options)
    assert quality.check(Many(), role_data(roles, checking=True))
    quality.extractor = extractor
    with pytest.raises(UserError, match=f"and these have {channels} channels"):
        quality.check(Many(), role_data(roles, checking=True))
    for name in ("sliced_wasserstein", "sample_grid", "training_animation"):
        evaluator = build("evaluator", name)
        evaluator.check(Many(), role_data(roles, checking=True))
        found = evaluator.evaluate(Many(), role_data(roles), context_in(Path("none")))
        assert all(figure.array.shape[-1] == 3 for figure in found.figures.values())
