"""A network that learns by contrast, and the corruptions that its features must follow."""

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from pluglab.data import Images, to_float
from pluglab.errors import UserError
from pluglab.plugins.registry import Registrar
from pluglab.protocols import DataContext
from pluglab.recipe.resolve import make
from pluglab_metrics.corruptions import COPIES, KEPT, clusters, corrupted, follows, noisy, scored
from pluglab_metrics.extractors import self_supervised as module
from pluglab_metrics.extractors.self_supervised import nt_xent
from tests.evaluation import SilentBar
from tests.registries import registry_of


class Tiny:
    """scikit-learn's digits, 8 x 8, without labels; a test split where `held_out` says so."""

    held_out = True

    def prepare(self, context):
        pixels = torch.tensor(load_digits().data * 255 / 16).round().to(torch.uint8).view(-1, 1, 8, 8)
        self.parts = {"train": Images(pixels[:1400]), "test": Images(pixels[1400:])}

    def split(self, name):
        if name == "test" and not self.held_out:
            raise UserError("there is no split 'test'")
        return self.parts[name]


class Whole(Tiny):
    held_out = False


@pytest.fixture(scope="module")
def registry():
    registry, registrar = registry_of("metrics"), Registrar("tiny")
    registrar.add("dataset", "tiny", Tiny)
    registrar.add("dataset", "whole", Whole)
    registry.extend(registrar.entries)
    return registry


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return DataContext(None, tmp_path_factory.mktemp("cache"), SilentBar)


@pytest.fixture(scope="module")
def extractor(registry, cache):
    """Trained once for all tests of this file that ask for the same."""

    def extractor(dataset="tiny", context=cache, **options):
        options = {"dataset": dataset, "steps": 150, **options}
        built = make(registry, "feature_extractor", "self_supervised", **options).build()
        built.prepare(context)
        return built

    return extractor


@pytest.fixture
def untested(monkeypatch):
    """The validity is left out, which takes longest."""
    monkeypatch.setattr(module, "validity", lambda network, pixels: {})


def test_it_is_trained_once_without_labels_and_says_what_it_is_worth(extractor, cache):
    first = extractor()
    (path,) = (cache.cache / "self_supervised").iterdir()
    before = path.stat().st_mtime_ns
    again = extractor()
    assert path.stat().st_mtime_ns == before
    test = Tiny()
    test.prepare(None)
    pixels = test.split("test").pixels
    assert torch.equal(first(pixels).features, again(pixels).features)
    assert first(pixels).features.shape == (397, 256) and first(pixels).logits is None
    assert first.identity == again.identity and first.name == "self_supervised_tiny"
    assert "397 test images" in first.notes["views of one image found"]
    assert set(first.record["follows"]) == {"blur", "noise", "JPEG", "duplicates", "dropped modes"}
    assert all(
        f"{name} {value:.2f}" in first.notes["FID follows"] for name, value in first.record["follows"].items()
    )


def test_what_it_has_learned(extractor, untested, data_context):
    """It finds a view's partner, and tells digits that it was never told of better than an untrained one."""
    trained, blank = extractor(), extractor(steps=1, context=data_context)
    assert trained.record["found"] > blank.record["found"] + 30
    digits = load_digits()
    pixels = torch.tensor(digits.data * 255 / 16).round().to(torch.uint8).view(-1, 1, 8, 8)

    def accuracy(model):
        features = model(pixels).features
        readout = LogisticRegression(max_iter=1000).fit(features[:1000], digits.target[:1000])
        return readout.score(features[1000:], digits.target[1000:])

    assert accuracy(trained) > max(0.9, accuracy(blank))


def test_it_follows_what_makes_images_worse(extractor):
    found = extractor().record["follows"]
    assert all(value >= 0.9 for value in found.values()), found


def test_other_options_are_another_network_and_no_random_number_is_used_up(extractor, untested, data_context):
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    options = ({}, {"seed": 1}, {"temperature": 0.5}, {"steps": 3})
    names = [extractor(context=data_context, **{"steps": 2, **some}).identity for some in options]
    assert len(set(names)) == len(names)
    assert torch.equal(torch.rand(1), expected)


def test_a_data_set_with_nothing_held_out(extractor, untested):
    assert "training images" in extractor("whole", steps=2).notes["views of one image found"]


def test_the_contrastive_loss_is_that_of_the_paper():
    """Equation 1 of Chen et al. 2020, term by term."""
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.nn.functional.normalize(torch.randn(5, 3, generator=generator)) for _ in range(2))
    views, terms = torch.cat([first, second]), []
    for i in range(10):
        similar = (views @ views[i] / 0.3).exp()
        others = sum(similar[k] for k in range(10) if k != i)
        terms.append(-(similar[(i + 5) % 10] / others).log())
    assert nt_xent(first, second, 0.3).item() == pytest.approx((sum(terms) / 10).item(), rel=1e-5)


# Corruptions ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pool():
    tiny = Tiny()
    tiny.prepare(None)
    return tiny.split("train").pixels


def test_severities(pool):
    modes = torch.tensor(load_digits().target[:1400])
    made = corrupted(pool, modes, 320, torch.Generator().manual_seed(0))
    clean = made["blur"][0][1]
    assert all(
        images.shape == clean.shape and images.dtype == torch.uint8
        for _, levels in made.items()
        for _, images in levels
    )
    for name in ("blur", "noise", "JPEG"):
        away = [(images.float() - clean).square().mean().item() for _, images in made[name]]
        assert away[0] == 0 and away == sorted(away) and len(set(away)) == 5
    assert [len(images.unique(dim=0)) for _, images in made["duplicates"]] == [
        320 // times for times in COPIES
    ]
    rows = {row.numpy().tobytes(): int(label) for row, label in zip(pool, modes, strict=True)}
    kinds = [len({rows[row.numpy().tobytes()] for row in images}) for _, images in made["dropped modes"]]
    assert kinds == [round(10 * share) for share in KEPT]
    assert len(made["dropped modes"][-1][1].unique(dim=0)) == 320  # enough of each are left


def test_noise_is_of_the_deviation_asked_for():
    gray = torch.full((50, 1, 32, 32), 128, dtype=torch.uint8)
    assert noisy(gray, 12, torch.Generator().manual_seed(0)).float().std().item() == pytest.approx(
        12, rel=0.02
    )


def test_clusters_are_modes(pool):
    """Of digits, mostly one digit each."""
    found, labels = clusters(pool), torch.tensor(load_digits().target[:1400])
    right = sum(labels[found == k].bincount().max().item() for k in range(10))
    assert found.shape == (1400,) and right > 0.6 * 1400


def test_what_follows_and_what_does_not(pool):
    """The mean difference of neighbors falls with blur and rises with noise; it does not see copies."""

    def roughness(images):
        return to_float(images).diff(dim=3).abs().mean().item()

    scores = scored(roughness, pool, clusters(pool), 300, (0, 1))
    assert [len(rows) for rows in scores.values()] == [2] * 5
    found = follows(scores)
    assert found["blur"] == pytest.approx(-1) and found["noise"] > 0.7
    assert abs(found["duplicates"]) < 0.95
    assert follows({"nothing": [[1.0, 1.0, 1.0]]}) == {"nothing": 0}
