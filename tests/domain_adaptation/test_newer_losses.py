"""Losses of Deep CORAL, CDAN, MCD, MCC, SHOT and of DSN with MMD: by hand, and as others' code has them.

goldens/make_goldens.py wrote what that code computes.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from pluglab.recipe.resolve import make
from pluglab_domain_adaptation import losses
from pluglab_domain_adaptation.cdan import Product, RandomSums, certainty, multilinear
from pluglab_domain_adaptation.shot import centroids, directions_of, nearest
from pluglab_domain_adaptation.target_losses import Unlabeled

WIDTH, CLASSES = 6, 4
GOLDENS: dict[str, Any] = json.loads((Path(__file__).parent / "goldens/goldens.json").read_text())


def given(count: int, width: int, seed: int, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator, dtype=torch.float64) * scale


def test_coral_is_pytorch_adapts() -> None:
    source, target = given(10, WIDTH, 0), given(8, WIDTH, 1, 2.0) + 0.5
    assert math.isclose(losses.coral_loss(source, target).item(), GOLDENS["coral"], rel_tol=1e-9)


def test_coral_of_values_twice_as_wide_in_one_dimension() -> None:
    """C = diag(v, 0) and 4 C: |3 v|^2 / (4 d^2), and a shift of the mean costs nothing."""
    source = torch.tensor([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)  # variance 1
    assert math.isclose(losses.coral_loss(source, 2 * source).item(), 9 / 16)
    assert losses.coral_loss(source, source + 7).item() == 0


def test_the_discrepancy_is_pytorch_adapts_and_the_l1_distance_over_k() -> None:
    first, second = given(9, CLASSES, 2, 2.0), given(9, CLASSES, 3, 2.0)
    found = losses.classifier_discrepancy(first, second)
    assert math.isclose(found.item(), GOLDENS["discrepancy"], rel_tol=1e-9)
    one, other = torch.tensor([[40.0, 0, 0, 0]]), torch.tensor([[0, 0, 40.0, 0]])
    assert math.isclose(losses.classifier_discrepancy(one, other).item(), 2 / 4, rel_tol=1e-6)


def test_class_confusion_is_pytorch_adapts(registry) -> None:
    logits = given(9, CLASSES, 2, 2.0)
    loss = make(registry, "target_loss", "class_confusion").build()
    found = loss(Unlabeled(torch.zeros(9, 3, 8, 8), logits, lambda x: logits))
    assert math.isclose(found.item(), GOLDENS["class_confusion"], rel_tol=1e-9)


def test_the_certainty_that_weighs_the_domain_loss_is_pytorch_adapts() -> None:
    found = certainty(given(9, CLASSES, 2, 2.0))
    torch.testing.assert_close(found, torch.tensor(GOLDENS["certainty"], dtype=torch.float64))


def test_random_sums_are_pytorch_adapts() -> None:
    golden = GOLDENS["random_sums"]
    sums = RandomSums(WIDTH, CLASSES, 16).double()
    for name in ("of_features", "of_classes"):
        getattr(sums, name).copy_(torch.tensor(golden[name], dtype=torch.float64))
    found = sums(given(3, WIDTH, 4), given(3, CLASSES, 5).softmax(1))
    torch.testing.assert_close(found, torch.tensor(golden["value"], dtype=torch.float64))


def test_the_product_has_every_feature_times_every_probability() -> None:
    features, probabilities = given(3, WIDTH, 4), given(3, CLASSES, 5).softmax(1)
    found = Product(WIDTH, CLASSES)(features, probabilities)
    for i in range(3):
        for k in range(CLASSES):
            expected = features[i] * probabilities[i, k]
            torch.testing.assert_close(found[i, k * WIDTH : (k + 1) * WIDTH], expected)


def test_scalar_products_of_random_sums_are_those_of_products_in_the_mean() -> None:
    """Theorem 2 of the paper, over 40,000 sums: |error| is about the spread over sqrt(d)."""
    torch.manual_seed(0)
    features, probabilities = given(4, WIDTH, 4), given(4, CLASSES, 5).softmax(1)
    exact = Product(WIDTH, CLASSES)(features, probabilities)
    found = RandomSums(WIDTH, CLASSES, 40_000).double()(features, probabilities)
    torch.testing.assert_close(found @ found.T, exact @ exact.T, rtol=0, atol=0.15)


@pytest.mark.parametrize(("features", "kind"), [(409, Product), (410, RandomSums)])
def test_random_sums_begin_beyond_4096_products(registry, features: int, kind: type) -> None:
    config: Any = make(registry, "trainer", "cdan").config
    assert isinstance(multilinear(features, 10, config.largest_product, config.random_sums), kind)


def test_mmd_is_the_sum_over_all_pairs_and_kernels() -> None:
    """Eq. 7, pair by pair."""
    source, target = given(5, WIDTH, 0), given(4, WIDTH, 1, 2.0) + 0.5

    def kernel(a: torch.Tensor, b: torch.Tensor) -> float:
        distance = ((a - b) ** 2).sum().item()
        return sum(math.exp(-distance / (2 * v)) for v in losses.MMD_VARIANCES)

    def mean(first: torch.Tensor, second: torch.Tensor) -> float:
        return sum(kernel(a, b) for a in first for b in second) / (len(first) * len(second))

    expected = mean(source, source) - 2 * mean(source, target) + mean(target, target)
    assert math.isclose(losses.mmd(source, target).item(), expected, rel_tol=1e-9)
    assert len(losses.MMD_VARIANCES) == 19
    assert abs(losses.mmd(source, source).item()) < 1e-12


def test_mmd_is_pytorch_adapts_but_for_what_an_image_has_in_common_with_itself(monkeypatch) -> None:
    """That code leaves out the pairs of an image and itself, and takes the mean of the kernels."""
    golden, count = GOLDENS["mmd"], 3
    monkeypatch.setattr(losses, "MMD_VARIANCES", [1 / (2 * scale) for scale in golden["scales"]])
    source, target = given(10, WIDTH, 0), given(8, WIDTH, 1, 2.0) + 0.5
    # mean over n^2 pairs = (sum of the n (n - 1) others + n K) / n^2, K kernels being 1 at distance 0.
    within = [losses._kernel(x, x).mean().item() for x in (source, target)]
    unbiased = [(w * n * n - n * count) / (n * (n - 1)) for w, n in zip(within, (10, 8), strict=True)]
    value = losses.mmd(source, target).item() - sum(within) + sum(unbiased)
    assert math.isclose(value / count, golden["value"], rel_tol=1e-9)


@pytest.mark.parametrize("loss", [losses.mmd, losses.coral_loss, losses.classifier_discrepancy])
def test_losses_of_bf16_values_are_those_of_the_same_values_in_float64(loss) -> None:
    first, second = given(64, 12, 0, 3.0).bfloat16(), given(64, 12, 1, 3.0).bfloat16()
    found, expected = loss(first, second), loss(first.double(), second.double())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-6)


def test_gradients_of_mmd_are_finite_where_images_are_the_same() -> None:
    codes = torch.zeros(4, WIDTH, requires_grad=True)
    losses.mmd(codes, codes * 1.0).backward()
    assert codes.grad is not None and codes.grad.isfinite().all()


def test_pseudo_labels_are_those_of_the_authors_of_shot() -> None:
    features = torch.cat([given(12, WIDTH, 12 + k) + 2 * given(1, WIDTH, 20 + k) for k in range(3)])
    known = 1.5 * torch.nn.functional.one_hot(torch.arange(36) // 12, CLASSES)
    probabilities = (given(36, CLASSES, 30, 2.0) + known).softmax(1)
    directions = directions_of(features)
    found = nearest(directions, centroids(directions, probabilities))
    assert found.tolist() == GOLDENS["pseudo_labels"]
    assert found.tolist() != probabilities.argmax(1).tolist()  # the classifier alone says something else
    once = probabilities.T @ directions / probabilities.sum(0)[:, None]
    assert found.tolist() != nearest(directions, once).tolist()  # and so do the first centroids


def test_directions_have_a_further_feature_that_is_one() -> None:
    found = directions_of(torch.tensor([[3.0, 0.0], [0.0, 0.0]]))
    expected = torch.tensor([[3 / 10**0.5, 0, 1 / 10**0.5], [0, 0, 1]])
    torch.testing.assert_close(found, expected)


def test_no_image_is_given_a_class_that_is_nearest_to_none() -> None:
    """Its centroid would be 0 / 0."""
    directions = directions_of(torch.tensor([[5.0, 0.0], [6.0, 0.1], [0.0, 5.0], [0.1, 6.0]]))
    probabilities = torch.tensor([[0.9, 0.05, 0.05], [0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.9, 0.05]])
    centers = centroids(directions, probabilities)
    assert centers[2].isnan().all()
    assert nearest(directions, centers).tolist() == [0, 0, 1, 1]


def test_weights_of_the_domain_loss_count_and_those_of_one_change_nothing() -> None:
    is_target = losses.domain_labels(4, torch.device("cpu"))
    for columns in (1, 2):
        logits = given(4, columns, 0)
        each = torch.stack(
            [losses.domain_loss(x[None], t[None]) for x, t in zip(logits, is_target, strict=True)]
        )
        weights = torch.tensor([2.0, 0.5, 1.0, 3.0], dtype=torch.float64)
        torch.testing.assert_close(losses.domain_loss(logits, is_target, weights), (weights * each).mean())
        plain = losses.domain_loss(logits, is_target)
        torch.testing.assert_close(losses.domain_loss(logits, is_target, torch.ones(4)), plain)
