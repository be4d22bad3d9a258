"""Optimizers and their learning rates. Any class of torch.optim is one, and any function that makes one.

Those of the core are functions, so that `lab show` can read their options without torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn, optim
from torch.optim import Optimizer

Parameters = Iterable[nn.Parameter]
Betas = tuple[float, float]


def adadelta(
    parameters: Parameters, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0.0
) -> Optimizer:
    """Adaptive rates without a learning rate (Zeiler 2012)."""
    return optim.Adadelta(parameters, lr, rho, eps, weight_decay)


def adagrad(
    parameters: Parameters,
    lr: float = 0.01,
    lr_decay: float = 0.0,
    weight_decay: float = 0.0,
    initial_accumulator_value: float = 0.0,
    eps: float = 1e-10,
) -> Optimizer:
    """Rates that fall with the sum of the squared gradients (Duchi et al. 2011)."""
    return optim.Adagrad(parameters, lr, lr_decay, weight_decay, initial_accumulator_value, eps)


def adam(
    parameters: Parameters,
    lr: float = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
    decoupled_weight_decay: bool = False,
) -> Optimizer:
    """Adam (Kingma and Ba 2015)."""
    decoupled = decoupled_weight_decay
    return optim.Adam(parameters, lr, betas, eps, weight_decay, amsgrad, decoupled_weight_decay=decoupled)


def adamax(
    parameters: Parameters,
    lr: float = 2e-3,
    betas: Betas = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Adam with the infinity norm (Kingma and Ba 2015)."""
    return optim.Adamax(parameters, lr, betas, eps, weight_decay)


def adamw(
    parameters: Parameters,
    lr: float = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    amsgrad: bool = False,
) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""
    return optim.AdamW(parameters, lr, betas, eps, weight_decay, amsgrad)


def nadam(
    parameters: Parameters,
    lr: float = 2e-3,
    betas: Betas = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum_decay: float = 4e-3,
    decoupled_weight_decay: bool = False,
) -> Optimizer:
    """Adam with Nesterov momentum (Dozat 2016)."""
    return optim.NAdam(parameters, lr, betas, eps, weight_decay, momentum_decay, decoupled_weight_decay)


def radam(
    parameters: Parameters,
    lr: float = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
) -> Optimizer:
    """Adam, rectified at the start (Liu et al. 2020)."""
    return optim.RAdam(parameters, lr, betas, eps, weight_decay, decoupled_weight_decay)


def rmsprop(
    parameters: Parameters,
    lr: float = 0.01,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    centered: bool = False,
) -> Optimizer:
    """Gradients over the root of a running mean of their squares (Hinton 2012)."""
    return optim.RMSprop(parameters, lr, alpha, eps, weight_decay, momentum, centered)


def sgd(
    parameters: Parameters,
    lr: float = 0.01,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> Optimizer:
    """Stochastic gradient descent with momentum."""
    return optim.SGD(parameters, lr, momentum, weight_decay=weight_decay, nesterov=nesterov)


def scale_lr(optimizer: Optimizer, multiplier: float) -> None:
    """Set each group's rate to its base rate, the one that it was made with, times `multiplier`."""
    for group in optimizer.param_groups:
        base = group.setdefault("base_lr", group.get("initial_lr", group["lr"]))
        group["lr"] = base * multiplier


Settings = list[dict[str, Any]]


def settings_of(optimizer: Optimizer) -> Settings:
    """The settings of each group of an optimizer, such as its rate, without the parameters."""
    return [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]


def change_settings(optimizer: Optimizer, before: Settings, now: Settings) -> None:
    """Change in an optimizer, whose state was loaded, the settings in which `now` differs from `before`.

    Both are as a new optimizer has them, by the options that the state was saved under and by today's.
    """
    for group, old, new in zip(optimizer.param_groups, before, now, strict=True):
        changed = {key: value for key, value in new.items() if value != old.get(key)}
        group.update(changed)
        if "lr" in changed and "base_lr" in group:
            group["base_lr"] = changed["lr"]
