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


def domain_loss(logits: Tensor, is_target: Tensor) -> Tensor:
    """Mean cross-entropy of a domain classifier over all images; half of the sum of both domains' means that
    Ganin et al. (2016) have in eq. 9, where the domains have as many images.

    `logits` are N x 1 (large means target) or N x 2 (source, target); `is_target` is int64 N, 0 or 1.
    """
    logits = at_least_float32(logits)
    if logits.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(logits[:, 0], is_target.to(logits.dtype))
    return F.cross_entropy(logits, is_target)


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


def domain_accuracy(logits: Tensor, is_target: Tensor) -> Tensor:
    """Share of domains that are read right: 0.5 where the features no longer tell them apart."""
    found = logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(1)
    return (found.long() == is_target).float().mean()


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of right classes."""
    return (logits.argmax(1) == labels).float().mean()
