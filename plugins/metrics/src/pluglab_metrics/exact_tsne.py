"""t-SNE as the paper has it (van der Maaten and Hinton 2008), with every pair of points counted.

scikit-learn's stands behind an import of one to two seconds, and its trees (Barnes-Hut) pay for themselves
from some thousand points on. The choices are those of scikit-learn: neighbors beyond three times the
perplexity are left out, the start are the two widest directions, momentum, gains, and twelve times the
attraction in the first 250 steps.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

EXAGGERATED = 250  # steps
EXAGGERATION = 12.0
WIDTH = 1e-4  # of the start: its standard deviation
HALVINGS = 64


def exact_tsne(features: Tensor, perplexity: float, steps: int) -> Tensor:
    """N x F features as N x 2. The same features give the same plane. Memory and time grow with N^2: 8 N^2
    bytes a copy of them while distances are measured, and 4 N^2 afterwards."""
    joint = joint_probabilities(features, perplexity)
    place = widest(features, 2).T
    place = place / place[0].std(correction=0) * WIDTH
    rate = max(len(features) / EXAGGERATION / 4, 50.0)
    early = min(steps, EXAGGERATED)
    place = _descended(EXAGGERATION * joint, place, rate, early, momentum=0.5)
    return _descended(joint, place, rate, steps - early, momentum=0.8).T


def widest(features: Tensor, count: int) -> Tensor:
    """N x F features in their `count` widest directions around their mean (PCA), N x count.

    The sign of each direction is such that its largest entry is positive.
    """
    rows = features.double()
    rows = rows - rows.mean(0)
    wide = rows.shape[1] > rows.shape[0]
    square = rows @ rows.T if wide else rows.T @ rows
    values, vectors = torch.linalg.eigh(square)
    values, vectors = values.flip(0)[:count], vectors.flip(1)[:, :count]
    if wide:  # the directions themselves, from those of the points
        vectors = rows.T @ vectors / values.clamp_min(torch.finfo(values.dtype).tiny).sqrt()
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    return (rows @ (vectors * largest.sign())).to(features.dtype)


def joint_probabilities(features: Tensor, perplexity: float) -> Tensor:
    """p_ij = (p_j|i + p_i|j) / 2N, N x N, where row i of p_j|i has the perplexity that is asked for."""
    rows = features.double()
    squared = torch.cdist(rows, rows).square().fill_diagonal_(math.inf)
    near, neighbors = squared.topk(min(len(rows) - 1, int(3 * perplexity + 1)), largest=False)
    conditional = torch.zeros_like(squared).scatter_(1, neighbors, _with_perplexity(near, perplexity))
    return ((conditional + conditional.T) / (2 * len(rows))).float()


def _with_perplexity(squared: Tensor, perplexity: float) -> Tensor:
    """exp(-b_i d_ij) / sum over j for squared distances d, each b_i such that the entropy is the perplexity's
    logarithm: halved intervals, as the paper has it."""
    squared = squared - squared[:, :1]  # which changes no probability, and lets none of them vanish
    low, high = torch.zeros(len(squared), 1).double(), torch.full((len(squared), 1), math.inf).double()
    beta = torch.ones_like(low)
    for _ in range(HALVINGS):
        logits = -beta * squared
        p = logits.softmax(1)
        entropy = logits.logsumexp(1, keepdim=True) + beta * (p * squared).sum(1, keepdim=True)
        flat = entropy > math.log(perplexity)
        low, high = torch.where(flat, beta, low), torch.where(flat, high, beta)
        beta = torch.where(high.isinf(), beta * 2, (low + high) / 2)
    return (-beta * squared).softmax(1)


def gradient(joint: Tensor, place: Tensor) -> Tensor:
    """4 sum over j of (p_ij - q_ij) (y_i - y_j) / (1 + |y_i - y_j|^2) of N places y, both 2 x N."""
    one, square = torch.ones(1, place.shape[1]), place.square().sum(0, keepdim=True)
    distances = torch.cat([-2 * place, square + 1, one]).T @ torch.cat([place, one, square])
    near = distances.clamp_min_(1).reciprocal_().fill_diagonal_(0)
    weights = torch.sub(joint, near, alpha=1 / float(near.sum())).mul_(near)
    # Rows of three times a symmetric matrix: five times as fast as the matrix times columns.
    sums = torch.cat([place, one]) @ weights
    return 4 * (sums[2] * place - sums[:2])


def _descended(joint: Tensor, place: Tensor, rate: float, steps: int, momentum: float) -> Tensor:
    """Gradient descent with momentum, and a gain for each coordinate that grows where it turns back less
    than it goes on."""
    speed, gain = torch.zeros_like(place), torch.ones_like(place)
    for _ in range(steps):
        force = gradient(joint, place)
        gain = torch.where(speed * force < 0, gain + 0.2, gain * 0.8).clamp_min_(0.01)
        speed = momentum * speed - rate * gain * force
        place = place + speed
    return place
