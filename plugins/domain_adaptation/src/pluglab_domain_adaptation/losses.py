"""The losses of the papers: functions of tensors, each with its equation. All are in nats or unitless."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def domain_labels(count: int, device: torch.device) -> Tensor:
    """int64 `count`: 0 (source) for the first half, 1 (target) for the second."""
    return (torch.arange(count, device=device) >= count // 2).long()


def at_least_float32(values: Tensor) -> Tensor:
    """float64 stays; fp16 and bf16 become float32, in which exponentials, squares and their sums fit."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def domain_loss(logits: Tensor, is_target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean cross-entropy of a domain classifier over all images; half of the sum of both domains' means that
    Ganin et al. (2016) have in eq. 9, where the domains have as many images.

    `logits` are N x 1 (large means target) or N x 2 (source, target); `is_target` is int64 N, 0 or 1. Each
    image's part is multiplied by its `weights`, N, where there are any, and the mean is taken over N still.
    """
    logits = at_least_float32(logits)
    if weights is not None:
        return (weights * _domain_losses(logits, is_target, "none")).mean()
    return _domain_losses(logits, is_target, "mean")


def _domain_losses(logits: Tensor, is_target: Tensor, reduction: str) -> Tensor:
    if logits.shape[1] == 1:
        wanted = is_target.to(logits.dtype)
        return F.binary_cross_entropy_with_logits(logits[:, 0], wanted, reduction=reduction)
    return F.cross_entropy(logits, is_target, reduction=reduction)


def inverted_domain_loss(logits: Tensor, is_target: Tensor) -> Tensor:
    """`domain_loss` with swapped labels: what ADDA's target encoder descends (Tzeng et al. 2017, eq. 9)."""
    return domain_loss(logits, 1 - is_target)


def si_mse(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Scale-invariant squared error of each image, averaged over the batch (Bousmalis et al. 2016, eq. 4).

    With d = x - x_hat of k values: |d|^2 / k - (sum d)^2 / k^2, the variance of d. The second term is
    subtracted, and is of one image, so that an offset of a whole image costs nothing.
    """
    # As a variance: the difference of the two terms would cancel where the offset is large.
    difference = at_least_float32(images) - at_least_float32(reconstructions)
    return difference.flatten(1).var(1, correction=0).mean()


def difference_loss(private: Tensor, shared: Tensor) -> Tensor:
    """Soft orthogonality |H_c^T H_p|_F^2 of two codes N x F of one domain (Bousmalis et al. 2016, eq. 5).

    As in the authors' experiments, the columns of H have zero mean over the batch and its rows unit length.
    The squares are averaged over the F x F entries, which makes beta independent of the width.
    """
    correlation = _directions(private).T @ _directions(shared)
    return correlation.square().mean()


def _directions(codes: Tensor) -> Tensor:
    codes = at_least_float32(codes)
    return F.normalize(codes - codes.mean(0), dim=1, eps=1e-6)


def coral_loss(source: Tensor, target: Tensor) -> Tensor:
    """|C_s - C_t|_F^2 / (4 d^2) of the covariances of values N x d and M x d (Sun and Saenko 2016, eq. 1)."""
    pair = map(at_least_float32, (source, target))
    covariances = [_covariance(values) for values in pair]
    return (covariances[0] - covariances[1]).square().sum() / (4 * source.shape[1] ** 2)


def _covariance(values: Tensor) -> Tensor:
    """d x d of values N x d, unbiased; zeros for N = 1. `Tensor.cov` would wait for the device."""
    centered = values - values.mean(0)
    return centered.T @ centered / max(1, len(values) - 1)


def classifier_discrepancy(first: Tensor, second: Tensor) -> Tensor:
    """Mean absolute difference of the probabilities that two classifiers give, from logits N x K (Saito et
    al. 2018, eq. 2), averaged over the batch."""
    p, q = (at_least_float32(logits).softmax(1) for logits in (first, second))
    return (p - q).abs().mean()


# Variances of the kernels, as in the authors' code.
MMD_VARIANCES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 5, 10, 15, 20, 25, 30, 35, 100, 1e3, 1e4, 1e5, 1e6)


def mmd(source: Tensor, target: Tensor) -> Tensor:
    """Squared maximum mean discrepancy of codes N x F and M x F (Bousmalis et al. 2016, eq. 7):
    mean k(s, s') - 2 mean k(s, t) + mean k(t, t') over all pairs, an image and itself among them.

    k is the sum of exp(-|a - b|^2 / (2 v)) over the `MMD_VARIANCES` v.
    """
    source, target = at_least_float32(source), at_least_float32(target)
    within = _kernel(source, source).mean() + _kernel(target, target).mean()
    return within - 2 * _kernel(source, target).mean()


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    distances = (a[:, None] - b[None]).square().sum(2)
    variances = torch.tensor(MMD_VARIANCES, device=a.device, dtype=a.dtype)
    return torch.exp(-distances[..., None] / (2 * variances)).sum(2)


def domain_accuracy(logits: Tensor, is_target: Tensor) -> Tensor:
    """Share of domains that are read right: 0.5 where the features no longer tell them apart."""
    found = logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(1)
    return (found.long() == is_target).float().mean()


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of right classes."""
    return (logits.argmax(1) == labels).float().mean()
