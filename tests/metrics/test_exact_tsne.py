"""t-SNE with every pair counted: its formulas, and that its planes are as good as scikit-learn's."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness

from pluglab_metrics import tsne
from pluglab_metrics.exact_tsne import exact_tsne, gradient, joint_probabilities, widest


def divergence(joint: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """sum of p log(p / q), by its definition (2 x N places)."""
    apart = (place[:, :, None] - place[:, None, :]).square().sum(0)
    near = (1 / (1 + apart)) * (1 - torch.eye(len(joint)))
    q = near / near.sum()
    some = joint > 0
    return (joint[some] * (joint[some] / q[some]).log()).sum()


def test_the_gradient_is_that_of_the_divergence() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(40, 5, generator=generator)
    joint = joint_probabilities(features, 8.0)
    place = (3 * torch.randn(2, 40, generator=generator)).requires_grad_()
    (expected,) = torch.autograd.grad(divergence(joint, place), place)
    torch.testing.assert_close(gradient(joint, place.detach()), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_each_row_has_the_perplexity_that_is_asked_for(scale: float) -> None:
    features = scale * torch.randn(60, 4, generator=torch.Generator().manual_seed(1))
    joint = joint_probabilities(features, 6.0).double()
    assert math.isclose(float(joint.sum()), 1, abs_tol=1e-6)
    assert torch.equal(joint, joint.T)
    assert (joint.diagonal() == 0).all()
    squared = torch.cdist(features.double(), features.double()).square().fill_diagonal_(math.inf)
    near, places = squared.topk(19, largest=False)
    conditional = torch.zeros(60, 60, dtype=torch.float64)
    for row in range(60):  # each width by itself, by bisection of its logarithm
        low, high = -40.0, 40.0
        for _ in range(200):
            middle = (low + high) / 2
            p = (-math.exp(middle) * (near[row] - near[row][0])).softmax(0)
            entropy = -(p * p.clamp_min(1e-300).log()).sum()
            low, high = (middle, high) if entropy > math.log(6.0) else (low, middle)
        conditional[row, places[row]] = p
    torch.testing.assert_close(joint, (conditional + conditional.T) / 120, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("shape", [(80, 30), (30, 80)])
def test_the_widest_directions_are_those_of_pca(shape: tuple[int, int]) -> None:
    rows = np.random.default_rng(0).normal(size=shape).astype(np.float32) + 5
    ours = widest(torch.from_numpy(rows), 4).numpy()
    theirs = PCA(4, svd_solver="full").fit_transform(rows)
    signs = np.sign((ours * theirs).sum(0))
    np.testing.assert_allclose(ours, theirs * signs, rtol=1e-3, atol=1e-3)


def test_a_plane_is_as_good_as_scikit_learns() -> None:
    features = PCA(50, random_state=0).fit_transform(load_digits().data[:500] / 16).astype(np.float32)
    theirs = TSNE(init="pca", max_iter=tsne.ITERATIONS, random_state=0).fit_transform(features)
    ours = exact_tsne(torch.from_numpy(features), 30.0, tsne.ITERATIONS).numpy()
    joint = joint_probabilities(torch.from_numpy(features), 30.0)
    ours_kl, theirs_kl = (float(divergence(joint, torch.from_numpy(x.T.copy()))) for x in (ours, theirs))
    assert ours_kl < 1.02 * theirs_kl
    assert trustworthiness(features, ours) > trustworthiness(features, theirs) - 0.002


def test_few_points_need_no_scikit_learn_and_many_do(monkeypatch: pytest.MonkeyPatch) -> None:
    words = (
        "import numpy as np, sys; from pluglab_metrics.tsne import condensed, to_plane;"
        "rows = np.random.default_rng(0).normal(size=(80, 60)); to_plane(rows, 5, 0); condensed(rows, 0);"
        "print('sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["False"], done.stderr
    rows = np.random.default_rng(0).normal(size=(80, 60))
    few = tsne.to_plane(rows, 5, 0)
    monkeypatch.setattr(tsne, "EXACT", 79)
    many = tsne.to_plane(rows, 5, 0)
    assert many.shape == few.shape == (80, 2)
    assert not np.allclose(many, few)
