"""The terms of the evidence lower bound, each with its equation; all in nats."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LOG_2PI = math.log(2 * math.pi)


def reparameterized(mean: Tensor, log_variance: Tensor) -> Tensor:
    """mean + deviation * noise: a sample of q(z|x) that gradients pass (Kingma and Welling 2014, eq. 4)."""
    return mean + (log_variance / 2).exp() * torch.randn_like(mean)


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) of every latent dimension, N x Z (Kingma and Welling 2014, app. B)."""
    return (mean.square() + log_variance.exp() - log_variance - 1) / 2


def free_bits(kl: Tensor, least: float) -> Tensor:
    """sum_j max(least, mean over the batch of KL_j) of N x Z terms (Kingma et al. 2016, eq. 15, with every
    latent dimension a group): a dimension that carries less than `least` nats is not pushed further down."""
    return kl.mean(0).clamp_min(least).sum()


def normal_log_density(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log N(x; mean, variance) summed over everything but the first dimension."""
    terms = (x - mean).square() / log_variance.exp() + log_variance + LOG_2PI
    return -terms.flatten(1).sum(1) / 2


def importance_weighted_bound(log_weights: Tensor) -> Tensor:
    """log(1/k sum_i w_i) of N x k log weights log p(x, z_i) - log q(z_i|x) (Burda et al. 2016, eq. 8).

    A lower bound of log p(x) in expectation: the evidence lower bound at k = 1, and tighter with every k.
    """
    return log_weights.logsumexp(1) - math.log(log_weights.shape[1])
