"""Optimizers and their learning rates. Any class of torch.optim is one, and any function that makes one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn


def sgd(
    parameters: Iterable[nn.Parameter],
    lr: float = 0.01,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> torch.optim.Optimizer:
    """Stochastic gradient descent with momentum."""
    return torch.optim.SGD(parameters, lr, momentum, weight_decay=weight_decay, nesterov=nesterov)


def scale_lr(optimizer: torch.optim.Optimizer, multiplier: float) -> None:
    """Set each group's rate to its base rate, the one that it was made with, times `multiplier`."""
    for group in optimizer.param_groups:
        base = group.setdefault("base_lr", group.get("initial_lr", group["lr"]))
        group["lr"] = base * multiplier


Settings = list[dict[str, Any]]


def settings_of(optimizer: torch.optim.Optimizer) -> Settings:
    """The settings of each group of an optimizer, such as its rate, without the parameters."""
    return [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]


def change_settings(optimizer: torch.optim.Optimizer, before: Settings, now: Settings) -> None:
    """Change in an optimizer, whose state was loaded, the settings in which `now` differs from `before`.

    Both are as a new optimizer has them, by the options that the state was saved under and by today's.
    """
    for group, old, new in zip(optimizer.param_groups, before, now, strict=True):
        changed = {key: value for key, value in new.items() if value != old.get(key)}
        group.update(changed)
        if "lr" in changed and "base_lr" in group:
            group["base_lr"] = changed["lr"]
