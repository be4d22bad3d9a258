"""The terms of the bound against torch.distributions and closed forms."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from pluglab.recipe.resolve import make
from pluglab_autoencoder.objectives import (
    free_bits,
    importance_weighted_bound,
    kl_to_standard_normal,
    normal_log_density,
    reparameterized,
)


def normals(n: int = 5, z: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(n, z), 2 * torch.randn(n, z)


def test_the_kl_divergence_is_that_of_torch() -> None:
    mean, log_variance = normals()
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(kl_to_standard_normal(mean, log_variance), expected)
    assert kl_to_standard_normal(torch.zeros(2, 3), torch.zeros(2, 3)).abs().max() == 0


def test_the_normal_density_is_that_of_torch_summed_over_an_image() -> None:
    mean, log_variance = normals()
    x = torch.randn(5, 3)
    expected = Normal(mean, (log_variance / 2).exp()).log_prob(x).sum(1)
    torch.testing.assert_close(normal_log_density(x, mean, log_variance), expected)


def test_a_latent_has_the_moments_of_the_posterior_and_passes_its_gradient() -> None:
    """With z = m + s e: dz/dm = 1 and dz/d(log s^2) = (z - m) / 2."""
    mean = torch.full((100_000, 2), 3.0, requires_grad=True)
    log_variance = torch.full((100_000, 2), 2 * math.log(0.5), requires_grad=True)
    z = reparameterized(mean, log_variance)
    assert z.mean().item() == pytest.approx(3, abs=0.01)
    assert z.std().item() == pytest.approx(0.5, abs=0.01)
    z.sum().backward()
    assert mean.grad is not None
    assert (mean.grad == 1).all()
    torch.testing.assert_close(log_variance.grad, (z - mean).detach() / 2)


def test_free_bits_hold_each_dimension_at_its_least_over_the_batch() -> None:
    """Batch means are 0.2, 0.6 and 2; with 0.5 free the sum is 0.5 + 0.6 + 2, and only the last two learn."""
    kl = torch.tensor([[0.0, 1.2, 1.0], [0.4, 0.0, 3.0]], requires_grad=True)
    total = free_bits(kl, 0.5)
    assert total.item() == pytest.approx(3.1)
    total.backward()
    assert kl.grad is not None
    assert kl.grad.tolist() == [[0.0, 0.5, 0.5]] * 2
    assert free_bits(kl, 0.0).item() == pytest.approx(kl.sum(1).mean().item())


def test_the_importance_weighted_bound_of_one_sample_is_its_weight() -> None:
    weights = torch.randn(5, 1)
    assert torch.equal(importance_weighted_bound(weights), weights[:, 0])
    equal = torch.full((2, 8), -20_000.0)
    assert importance_weighted_bound(equal).tolist() == pytest.approx([-20_000.0] * 2)
    known = torch.tensor([[math.log(1.0), math.log(3.0)]])
    assert importance_weighted_bound(known).item() == pytest.approx(math.log(2))


def test_the_importance_weighted_bound_rises_with_the_number_of_samples() -> None:
    """Over all groups of k of the same samples the mean bound cannot fall as k doubles (Jensen)."""
    weights = 5 * torch.randn(20, 64, generator=torch.Generator().manual_seed(0))
    groups = [weights.reshape(-1, k) for k in (1, 2, 4, 8, 16, 32, 64)]
    bounds = [importance_weighted_bound(group).mean().item() for group in groups]
    assert all(a < b for a, b in pairwise(bounds))


# Likelihoods --------------------------------------------------------------------------------------------


def test_the_gaussian_likelihood_is_that_of_torch(registry) -> None:
    likelihood = make(registry, "likelihood", "gaussian", variance="fixed", deviation=0.3).build()
    drawn, images = torch.randn(4, 3, 5, 5), torch.rand(4, 3, 5, 5)
    parameters = likelihood.head()(drawn)
    expected = Normal(drawn.sigmoid(), 0.3).log_prob(images).flatten(1).sum(1)
    torch.testing.assert_close(likelihood.log_prob(parameters, images), expected)
    assert torch.equal(likelihood.mean(parameters), drawn.sigmoid())
    assert not list(likelihood.head().parameters())


def test_the_learned_variance_is_best_at_the_mean_squared_error(registry) -> None:
    """d/dv of -n/2 (log v + mse / v) is zero at v = mse, and its sign pulls v there from both sides."""
    likelihood = make(registry, "likelihood", "gaussian").build()
    drawn, images = torch.randn(4, 3, 5, 5), torch.rand(4, 3, 5, 5)
    error = (drawn.sigmoid() - images).square().mean()
    slopes = []
    for variance in (0.5 * error, error, 2 * error):
        head = likelihood.head()
        with torch.no_grad():
            head.log_variance.copy_(variance.log())
        likelihood.log_prob(head(drawn), images).sum().backward()
        slopes.append(head.log_variance.grad.item())
    assert slopes[0] > 0 > slopes[2]
    assert abs(slopes[1]) < 0.01 * slopes[0]


def test_the_learned_variance_has_a_floor_that_it_can_leave(registry) -> None:
    head = make(registry, "likelihood", "gaussian").build().head()
    with torch.no_grad():
        head.log_variance.fill_(-30.0)
    _, log_variance = head(torch.zeros(1, 1, 2, 2))
    assert log_variance.exp().sqrt().item() == pytest.approx(1 / 256, rel=1e-3)
    log_variance.backward()
    assert head.log_variance.grad > 0


def test_the_bernoulli_likelihood_is_that_of_torch_for_values_in_between_too(registry) -> None:
    likelihood = make(registry, "likelihood", "bernoulli").build()
    drawn, images = 3 * torch.randn(4, 3, 5, 5), torch.rand(4, 3, 5, 5)
    parameters = likelihood.head()(drawn)
    expected = Bernoulli(logits=drawn, validate_args=False).log_prob(images).flatten(1).sum(1)
    torch.testing.assert_close(likelihood.log_prob(parameters, images), expected)
    assert torch.equal(likelihood.mean(parameters), drawn.sigmoid())
