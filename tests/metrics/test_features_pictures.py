"""t-SNE, proxy A-distance, learning curves and reconstructions."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.text import Text
from sklearn.manifold import trustworthiness
from sklearn.neighbors import KNeighborsClassifier

from pluglab.data import Images, to_float
from pluglab.errors import RunError, UserError
from pluglab.evaluating import images_at, sample_rows
from pluglab.figures import in_color
from pluglab_metrics import tsne
from pluglab_metrics.curves import apart, grouped
from pluglab_metrics.distance import proxy_a_distance
from pluglab_metrics.extractors.base import Features, extract
from pluglab_metrics.tsne import UNLABELED, to_plane
from pluglab_plots import draw
from pluglab_plots.sprites import cut
from tests.evaluation import role_data
from tests.metrics.models import Reader


class Pixels:
    """Features are the pixels; reconstructions are dimmed."""

    def embed(self, images, role):
        return images.to(torch.bfloat16)

    def reconstruct(self, images, role):
        return images * 0.5


def is_picture(figure):
    array = figure.array
    return array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3 and array.shape[1] >= 700


def test_picked_images_are_fixed_spread_and_fetched_across_batches(two_domains, digits):
    data = two_domains["source"]["test"]
    index = sample_rows(data, 300, seed=1)
    assert torch.equal(index, sample_rows(data, 300, seed=1))
    assert not torch.equal(index, sample_rows(data, 300, seed=2))
    assert index.unique().numel() == 300 and index.max() > 1500
    assert torch.equal(images_at(data, index, size=64), to_float(digits.pixels[index]))
    assert len(sample_rows(data, 10**6, seed=1)) == len(digits)


def test_tsne_pictures_of_two_domains_and_of_one(build, two_domains, context):
    evaluator = build("evaluator", "latent_tsne", points=120)
    found = evaluator.evaluate(Pixels(), two_domains, context)
    assert set(found.figures) == {"by_class", "by_domain"}
    assert all(map(is_picture, found.figures.values()))
    again = evaluator.evaluate(Pixels(), two_domains, context)
    assert (found.figures["by_class"].array == again.figures["by_class"].array).all()
    single = evaluator.evaluate(Pixels(), {"source": two_domains["source"]}, context)
    assert list(single.figures) == ["by_class"]
    assert list(evaluator.evaluate(Pixels(), {"t": two_domains["target"]}, context).figures) == ["pictures"]


def test_points_are_in_series_with_all_that_there_is_to_know(build, two_domains):
    evaluator = build("evaluator", "latent_tsne", points=100)
    parts = [two_domains[role]["test"] for role in ("source", "target")]
    cloud = evaluator._cloud(Pixels(), parts, seed=0)
    assert (cloud.labels[cloud.domains == 1] == UNLABELED).all()
    data = cloud.by_class("title")
    assert data["series"] == tuple("0123456789") and data["by"] == "class"
    assert data["class"][:50] == [str(label) for label in cloud.labels[:50]]
    assert data["class"][50:] == [None] * 50
    data = cloud.by_domain("title")
    assert data["words"] == {"source": "source: source_images", "target": "target: target_images"}
    assert data["role"] == ["source"] * 50 + ["target"] * 50
    assert data["datasets"] == {"source": "source_images", "target": "target_images"}


def test_unlabeled_images_are_shown_themselves(build, two_domains, context):
    """One role without labels: of each thumbnail there is its point."""
    evaluator = build("evaluator", "latent_tsne", points=60)
    part = two_domains["target"]["test"]
    (figure,) = evaluator.evaluate(Pixels(), {"target": two_domains["target"]}, context).figures.values()
    sheet, index = figure.data["thumbnails"], sample_rows(part, 60, context.seed)
    assert sheet["rows"] == list(range(60))
    own = in_color(images_at(part, index)).permute(0, 2, 3, 1).numpy()
    for row, image in zip(sheet["rows"], cut(sheet), strict=True):
        assert (image == own[row]).all()


@pytest.mark.parametrize("name", ["$", "a$b", "$\\frac$", "_hidden", "[red]", "Ünï"])
def test_names_are_no_formulas(name, build, context, digits):
    """A class whose name holds dollars, or begins with a line, is drawn under that name."""
    names = (name, *"123456789")
    data = role_data({"train": Images(digits.pixels, digits.labels, names)})
    for evaluator, figure in (("latent_tsne", "by_class"), ("accuracy", "confusion_train")):
        found = build("evaluator", evaluator).evaluate(Reader(), data, context).figures[figure]
        assert is_picture(found)
        assert name.replace("$", "\\$") in {text.strip() for text in texts(draw(found.data))}


def texts(plot):
    return [text.get_text() for text in plot.findobj(match=Text)]


def test_tsne_keeps_neighbors(digits):
    features = digits.pixels[:400].flatten(1).float().numpy()
    plane, labels = to_plane(features, 30, 0), digits.labels[:400].numpy()
    assert plane.shape == (400, 2)
    assert KNeighborsClassifier(5).fit(plane[::2], labels[::2]).score(plane[1::2], labels[1::2]) > 0.85


def test_tsne_has_converged_when_it_stops(digits, monkeypatch):
    """Twice as many iterations find no better neighbors."""
    features = digits.pixels[:400].flatten(1).float().numpy()
    soon = to_plane(features, 30, 0)
    monkeypatch.setattr(tsne, "ITERATIONS", 2 * tsne.ITERATIONS)
    late = to_plane(features, 30, 0)
    assert not np.array_equal(soon, late)
    trust = [trustworthiness(features, plane, n_neighbors=10) for plane in (soon, late)]
    assert trust[0] > trust[1] - 0.005 and trust[0] > 0.95


def test_tsne_of_few_points_and_of_broken_features():
    few = np.random.default_rng(0).normal(size=(12, 3)).astype("float32")
    assert np.isfinite(to_plane(few, 30, 0)).all()
    few[0, 0] = np.nan
    with pytest.raises(UserError, match="NaN"):
        to_plane(few, 30, 0)


@pytest.mark.parametrize("count", [1, 2, 4, 5, 40, 80])
@pytest.mark.parametrize("width", [1, 2, 8, 60])
@pytest.mark.parametrize("scale", [0, 1e-42, 1e-20, 1, 1e38])
def test_tsne_survives_any_features(count, width, scale):
    """Of such as 1e-42 x noise scikit-learn makes a NaN, and ends the process."""
    features = (scale * np.random.default_rng(0).uniform(-1, 1, (count, width)) + scale).astype("float32")
    plane = to_plane(features, 30, 0)
    assert plane.shape == (count, 2) and np.isfinite(plane).all()
    alike = np.full((count, width), 5.0, dtype="float32")
    assert (to_plane(alike, 30, 0) == 0).all()


def test_tsne_does_not_depend_on_the_unit_of_features(digits):
    """A power of two changes no digit of a float."""
    features = digits.pixels[:60].flatten(1).float().numpy()
    assert (to_plane(features, 10, 0) == to_plane(features * 2.0**-120, 10, 0)).all()


def test_a_picture_of_nothing_says_so(build, two_domains, context):
    class Constant:
        def embed(self, images, role):
            return torch.zeros(len(images), 8)

    found = build("evaluator", "latent_tsne", points=40).evaluate(Constant(), two_domains, context)
    assert set(found.figures) == {"by_class", "by_domain"}
    assert "features, step 100: all alike" in found.figures["by_domain"].caption


def test_what_is_no_number_is_told_before_a_library_gets_it(build, two_domains, context, digits):
    class Diverged:
        def embed(self, images, role):
            return torch.full((len(images), 8), float("nan"))

        def predict(self, images, role):
            return torch.full((len(images), 10), float("inf"))

    for name, options in (
        ("latent_tsne", {}),
        ("proxy_a_distance", {}),
        ("classification", {"metrics": [{"name": "calibration", "num_classes": 10}]}),
    ):
        with pytest.raises(UserError, match="are NaN or infinite, so"):
            build("evaluator", name, **options).evaluate(Diverged(), two_domains, context)
    with pytest.raises(RunError, match="NaN or infinite features"):
        extract(lambda images: Features(images.float() / 0), [digits.pixels])


def test_proxy_a_distance_of_known_distributions():
    draw = np.random.default_rng(0).normal
    assert proxy_a_distance(draw(size=(1000, 5)), draw(size=(1000, 5))) < 0.2
    assert proxy_a_distance(draw(size=(500, 5)), draw(size=(500, 5)) + 100) == 2
    # Means 2 apart along one axis: the best error is Phi(-1) = 0.1587, so the distance is 1.365.
    shift = np.array([2.0, 0, 0])
    assert proxy_a_distance(draw(size=(20000, 3)), draw(size=(20000, 3)) + shift) == pytest.approx(
        1.365, abs=0.03
    )


def test_proxy_a_distance_evaluator(build, two_domains, context):
    found = build("evaluator", "proxy_a_distance", images=200).evaluate(Pixels(), two_domains, context)
    assert found.scalars == {"proxy_a_distance": pytest.approx(2.0)}
    assert found.better == {"proxy_a_distance": "min"}
    data = {"source": two_domains["source"]}
    with pytest.raises(UserError, match="no role 'target'"):
        build("evaluator", "proxy_a_distance").evaluate(Pixels(), data, context)


HISTORY = [
    {"type": "step", "step": 10, "scalars": {"lr": 0.1, "loss/class": 2.0, "loss/domain": 0.7}},
    {"type": "evaluation", "step": 10, "name": "accuracy", "scalars": {"accuracy/target": 50.0}},
    {"type": "health", "step": 15, "message": "D saturated"},
    {"type": "step", "step": 15, "scalars": {"accuracy": 0.5, "domain": 0.6, "speed/images_per_s": 900.0}},
    {"type": "step", "step": 20, "scalars": {"lr": 0.05, "loss/class": 1.0, "loss/domain": float("nan")}},
    {"type": "step", "step": 20, "scalars": {"accuracy": 0.7}},
    {"type": "evaluation", "step": 20, "name": "accuracy", "scalars": {"accuracy/target": 60.0}},
    {"type": "evaluation", "step": 10, "name": "distance", "scalars": {"distance": 2.0}},
    {"type": "evaluation", "step": 20, "name": "distance", "scalars": {"distance": 1.5}},
    {"type": "evaluation", "step": 20, "name": "once", "scalars": {"once/a": 1.0, "once/b": 1.5}},
]


def test_curves_are_grouped_by_prefix():
    panels = grouped(HISTORY)
    assert list(panels) == ["loss", "training", "lr", "accuracy", "distance"]
    assert panels["training"] == {"accuracy": [(15, 0.5), (20, 0.7)], "domain": [(15, 0.6)]}
    assert panels["loss"]["class"] == [(10, 2.0), (20, 1.0)]
    assert panels["lr"] == {"lr": [(10, 0.1), (20, 0.05)]}
    assert panels["accuracy"] == {"target": [(10, 50.0), (20, 60.0)]}
    assert panels["distance"] == {"distance": [(10, 2.0), (20, 1.5)]}


def test_no_panel_has_scores_of_unlike_scales():
    """Those of roles are of one kind; several quantities of an evaluator are not, nor is a long gradient."""
    history = [
        {"type": kind, "step": step, "scalars": scalars}
        for step in (1, 2)
        for kind, scalars in (
            ("step", {"loss/class": 1.0, "loss/domain": 90.0}),
            ("step", {"training/accuracy": 0.5, "training/real_score": 2.0, "training/gradient": 30.0}),
            ("evaluation", {"accuracy/source": 99.0, "accuracy/target/train": 5.0}),
            ("evaluation", {"validators/entropy": 1.0, "validators/snd": 5.0}),
        )
    ]
    assert list(apart(grouped(history), ["source", "target"])) == [
        "loss",
        "training: accuracy, real_score",
        "training: gradient",
        "accuracy",
        "validators: entropy",
        "validators: snd",
    ]


def test_a_first_look_is_shown_as_points():
    assert list(grouped(HISTORY[:1])) == ["loss", "lr"]


def test_learning_curves_picture(build, context):
    evaluator = build("evaluator", "learning_curves")
    assert not evaluator.evaluate(None, {}, context).figures
    context = replace(context, history=HISTORY)
    assert is_picture(evaluator.evaluate(None, {}, context).figures["panels"])


def test_reconstruction_errors(build, two_domains, context, digits):
    found = build("evaluator", "reconstructions", images=5000).evaluate(Pixels(), two_domains, context)
    expected = (to_float(digits.pixels) * 0.5).square().mean().item()
    assert found.scalars["reconstruction_mse/source/reconstruction"] == pytest.approx(expected)
    roles = ("source", "target")
    assert set(found.figures) == {*roles, *(f"worst_reconstructions_{role}" for role in roles)}
    assert is_picture(found.figures["source"])
    unit = build("evaluator", "reconstructions", images=5000, values="[0, 1]")
    scalars = unit.evaluate(Pixels(), two_domains, context).scalars
    assert scalars["mse_per_pixel/source/reconstruction"] == pytest.approx(expected / 4)


def test_several_kinds_of_reconstruction_in_color(build, context, digits):
    class Kinds:
        def reconstruct(self, images, role):
            return {"perfect": images, "black": torch.full_like(images, -1)}

    color = Images(digits.pixels[:30], digits.labels[:30]).in_color()
    data = role_data({"train": color})
    found = build("evaluator", "reconstructions").evaluate(Kinds(), data, context)
    assert found.scalars["reconstruction_mse/train/perfect"] == 0
    assert is_picture(found.figures["train"])
