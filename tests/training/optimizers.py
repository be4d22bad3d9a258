"""Optimizers of other packages, through functions of one's own."""

from __future__ import annotations

from collections.abc import Iterable

import lion_pytorch
import schedulefree
import torch
from torch import nn


def lion(parameters: Iterable[nn.Parameter], lr: float = 2e-4) -> torch.optim.Optimizer:
    """Lion, its decay ten times its rate."""
    return lion_pytorch.Lion(parameters, lr=lr, weight_decay=10 * lr)


def schedule_free(
    parameters: Iterable[nn.Parameter], lr: float = 0.002, warmup: int = 2
) -> torch.optim.Optimizer:
    """Schedule-free Adam with some warmup."""
    return schedulefree.AdamWScheduleFree(parameters, lr=lr, warmup_steps=warmup)
