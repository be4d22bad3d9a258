"""The losses of the papers: functions of tensors, each with its equation. All are in nats or unitless."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def domain_labels(count: int, device: torch.device) -> Tensor:
    """int64 `count`: 0 (source) for the first half, 1 (target) for the second."""
    return (torch.arange(count, device=device) >= count // 2).long()


def domain_loss(logits: Tensor, is_target: Tensor) -> Tensor:
    """Mean cross-entropy of a domain classifier (Ganin et al. 2016, eq. 9).

    `logits` are N x 1 (large means target) or N x 2 (source, target); `is_target` is int64 N, 0 or 1.
    """
    if logits.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(logits[:, 0], is_target.to(logits.dtype))
    return F.cross_entropy(logits, is_target)


def domain_accuracy(logits: Tensor, is_target: Tensor) -> Tensor:
    """Share of domains that are read right: 0.5 where the features no longer tell them apart."""
    found = logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(1)
    return (found.long() == is_target).float().mean()


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of right classes."""
    return (logits.argmax(1) == labels).float().mean()
