from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from pluglab.data import Images
from pluglab.errors import UserError
from pluglab.protocols import ImageSpec
from pluglab.recipe.resolve import make
from pluglab_domain_adaptation.validators import density_ratio, dev_risk, soft_neighborhood_density
from tests.evaluation import context_in, looked, role_data


class Data:
    """One split; the target's labels explode when they are read."""

    def __init__(self, images: Tensor, role: str, split: str, labels: Tensor | None) -> None:
        self.images, self.role, self.split, self._labels = images, role, split, labels
        self.spec = ImageSpec(1, 1, 2, len(images), ("a", "b"))
        self.labeled = labels is not None or role == "target"

    @property
    def labels(self) -> Tensor:
        assert self._labels is not None, "the labels of the target were read"
        return self._labels

    def batches(self, size: int = 500, limit: int | None = None):
        yield from self.images.split(size)


class Linear:
    """Logits that are the images' two values: a model whose scores are known."""

    def predict(self, images: Tensor, role: str) -> Tensor:
        return images.flatten(1)

    embed = predict


def domains(target: Tensor, source: Tensor, labels: Tensor) -> dict[str, dict[str, Data]]:
    images = [x.view(-1, 1, 1, 2) for x in (target, source)]
    return {
        "target": {split: Data(images[0], "target", split, None) for split in ("train", "test")},
        "source": {split: Data(images[1], "source", split, labels) for split in ("train", "test")},
    }


def scores(registry, data, **options) -> dict[str, float]:
    evaluator = make(registry, "evaluator", "validators", **options).build()
    scalars = evaluator.evaluate(Linear(), data, SimpleNamespace(seed=0)).scalars
    return {name.removeprefix("validators/"): value for name, value in scalars.items()}


def example(sure: float) -> dict[str, dict[str, Data]]:
    labels = torch.arange(1200) % 2
    logits = torch.eye(2)[labels] * sure
    return domains(logits, logits + 0.1 * torch.randn(1200, 2), labels)


def test_scores_of_a_model_that_knows_nothing_and_of_one_that_knows_all(registry):
    nothing, everything = scores(registry, example(0.0)), scores(registry, example(50.0))
    assert math.isclose(nothing["entropy"], -math.log(2), rel_tol=1e-5)
    assert abs(nothing["information_maximization"]) < 1e-5
    assert math.isclose(nothing["nuclear_norm"], math.sqrt(1200 / 2) / 1200, rel_tol=1e-4)
    assert abs(everything["entropy"]) < 1e-5
    assert math.isclose(everything["information_maximization"], math.log(2), rel_tol=1e-5)
    assert math.isclose(everything["nuclear_norm"], 2 * math.sqrt(600) / 1200, rel_tol=1e-4)
    # each code has 599 equal neighbors, and 600 orthogonal ones of weight e^-20
    assert math.isclose(everything["snd"], math.log(599), rel_tol=1e-4)
    assert abs(everything["dev"]) < 1e-6


def test_of_every_score_more_is_said_to_be_better(registry):
    evaluator = make(registry, "evaluator", "validators").build()
    found = evaluator.evaluate(Linear(), example(5.0), SimpleNamespace(seed=0))
    assert found.better == dict.fromkeys(found.scalars, "max") and len(found.scalars) == 5


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("domain", ["source", "target"])
def test_what_is_not_finite_is_told_in_words(registry, value, domain):
    data = example(3.0)
    for split in ("train", "test"):
        data[domain][split].images[0] = value
    with pytest.raises(UserError, match=f"of '{domain}' are NaN or infinite"):
        scores(registry, data)


def test_target_labels_are_never_read(registry):
    data = example(3.0)
    assert len(scores(registry, data)) == 5
    with pytest.raises(AssertionError, match="were read"):
        _ = data["target"]["train"].labels


def test_names_choose_and_dev_needs_a_labeled_source(registry):
    data = example(3.0)
    assert set(scores(registry, data, names=["snd", "entropy"])) == {"snd", "entropy"}
    assert "dev" not in scores(registry, {"target": data["target"]})


def test_a_recipe_without_a_target_is_a_clear_error(registry):
    with pytest.raises(UserError, match="there is no role 'target'") as error:
        scores(registry, {"source": example(1.0)["source"]})
    assert "source" in error.value.help[0]


def test_a_smaller_draw_is_a_sample_of_the_whole(registry):
    whole, part = scores(registry, example(2.0)), scores(registry, example(2.0), images=600)
    assert abs(whole["entropy"] - part["entropy"]) < 0.02
    assert whole["snd"] > part["snd"]


def test_snd_is_the_mean_entropy_of_the_similarities():
    codes = np.random.default_rng(0).random((7, 3))
    unit = codes / np.linalg.norm(codes, axis=1, keepdims=True)
    entropies = []
    for i in range(7):
        z = np.delete(unit @ unit[i], i) / 0.05
        p = np.exp(z) / np.exp(z).sum()
        entropies.append(-(p * np.log(p)).sum())
    found = soft_neighborhood_density(torch.from_numpy(codes)).item()
    assert math.isclose(found, np.mean(entropies), rel_tol=1e-9)


def test_dev_risk_is_the_papers_control_variate():
    losses, weights = np.random.default_rng(1).random((2, 50))
    weighted = weights * losses
    eta = -np.cov(weighted, weights, ddof=1)[0, 1] / np.var(weights, ddof=1)
    expected = weighted.mean() + eta * weights.mean() - eta
    assert math.isclose(dev_risk(losses, weights), expected, rel_tol=1e-12)
    assert dev_risk(losses, np.ones(50)) == losses.mean()


def shifted(n: int) -> tuple[np.ndarray, np.ndarray]:
    """x ~ N(0, 1) in the source, N(1, 1) in the target, so p_t(x) / p_s(x) = exp(x - 1/2)."""
    rng = np.random.default_rng(2)
    return rng.normal(0, 1, (n, 1)), rng.normal(1, 1, (n, 1))


def test_the_density_ratio_of_two_gaussians_is_found():
    source, target = shifted(20_000)
    at = np.linspace(-1.5, 2.5, 9)[:, None]
    found = density_ratio(source, target[:10_000], at)
    np.testing.assert_allclose(found, np.exp(at[:, 0] - 0.5), rtol=0.1)


def test_the_density_ratio_of_domains_far_apart_is_finite():
    """Where the source's probability is rounded to 0 the ratio is large, and the risk still a number."""
    rng = np.random.default_rng(5)
    source, target = rng.normal(0, 1, (500, 300)), rng.normal(1, 1, (500, 300))
    at = np.concatenate([source[:5], 4 + target[:5]])
    found = density_ratio(source, target, at)
    assert np.isfinite(found).all() and (found[:5] < 1).all() and (found[5:] > 1e16).all()
    assert math.isfinite(dev_risk(np.ones(10), found))


def test_dev_finds_the_target_risk_that_the_source_risk_misses():
    """A model that errs where x > 1: 16 % of the source, 50 % of the target."""
    source, target = shifted(20_000)
    held_out = np.random.default_rng(3).normal(0, 1, (20_000, 1))
    losses = (held_out[:, 0] > 1).astype(float)
    truth = (target[:, 0] > 1).mean()
    assert abs(losses.mean() - truth) > 0.3
    assert abs(dev_risk(losses, density_ratio(source, target, held_out)) - truth) < 0.03


def test_the_control_variate_lowers_the_variance():
    rng, plain, controlled = np.random.default_rng(4), [], []
    for _ in range(200):
        x = rng.normal(0, 1, 500)
        weights, losses = np.exp(x - 0.5), (x > 0).astype(float)
        plain.append((weights * losses).mean())
        controlled.append(dev_risk(losses, weights))
    assert np.std(controlled) < 0.6 * np.std(plain)


# Before the training --------------------------------------------------------------------------------------

NAMES = ("entropy", "information_maximization", "nuclear_norm", "snd", "dev")


def pixels(count: int = 30) -> Tensor:
    return torch.randint(0, 256, (count, 1, 1, 2), generator=torch.Generator().manual_seed(count)).byte()


def roles(*, source: bool = True, labeled: bool = True, target: int = 20) -> dict[str, Images]:
    """Images of both domains, or of the target alone."""
    found = {"target": Images(pixels(target), torch.arange(target) % 2, ("a", "b"))}
    labels = torch.arange(30) % 2 if labeled else None
    return {**({"source": Images(pixels(), labels, ("a", "b"))} if source else {}), **found}


@pytest.mark.parametrize(
    ("data", "options", "promised"),
    [
        (roles(), {}, {name: ["source"] if name == "dev" else [] for name in NAMES}),
        (roles(), {"names": ["snd", "dev"]}, {"snd": [], "dev": ["source"]}),
        (roles(source=False), {}, {name: [] for name in NAMES[:-1]}),
        (roles(labeled=False), {}, {name: [] for name in NAMES[:-1]}),
    ],
)
def test_what_was_promised_is_reported_and_only_dev_reads_labels_of_the_source(
    registry, tmp_path, data, options, promised
):
    evaluator = make(registry, "evaluator", "validators", **options).build()
    found = looked(evaluator, Linear(), data, context_in(tmp_path))
    told = {name.removeprefix("validators/"): list(read) for name, read in found.promise.items()}
    assert told == promised and found.found.scalars.keys() == found.promise.keys()
    assert found.labels_read == {role for read in promised.values() for role in read}


def test_the_settings_of_a_score_are_its_own_protocol(registry, tmp_path):
    found = []
    for options in ({}, {"temperature": 0.1}, {"held_out": "train"}):
        evaluator = make(registry, "evaluator", "validators", **options).build()
        found.append(looked(evaluator, Linear(), roles(), context_in(tmp_path)).found)
    plain, warmer, elsewhere = (one.protocols for one in found)
    assert plain["validators/snd"] != warmer["validators/snd"]
    assert plain["validators/dev"] == warmer["validators/dev"] != elsewhere["validators/dev"]
    assert "validators/entropy" not in plain and found[0].protocol == found[1].protocol


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ({"source": roles()["source"]}, {}, "there is no role 'target'"),
        (roles(), {"split": "dev"}, "no split 'dev'"),
        (roles(), {"held_out": "dev"}, "no split 'dev'"),
        (roles(target=1), {}, "one image of 'target' has no neighborhood"),
        (
            roles(source=False),
            {"names": ["dev"]},
            "'dev' is computed from labeled images of the role 'source'",
        ),
    ],
)
def test_what_cannot_be_computed_is_told_before_the_training(registry, data, options, message):
    evaluator = make(registry, "evaluator", "validators", **options).build()
    with pytest.raises(UserError, match=message) as told:
        evaluator.check(Linear(), role_data(data, checking=True))
    assert told.value.help
