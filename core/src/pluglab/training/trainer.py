"""What most trainers share: state by attribute, set-up through Fabric, optimizers and schedules.

Nothing in the core asks for `TrainerBase`; anything with the methods of `protocols.Trainer` will do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Literal

import torch
from lightning_fabric import Fabric
from pydantic import BaseModel, Field
from torch import Tensor, nn

from pluglab.components import Options, takes
from pluglab.protocols import Batch, Progress, Role
from pluglab.training.ema import EMA


class TrainerBase:
    """Saves and restores every attribute that has a `state_dict`; hands modules and optimizers to Fabric."""

    Config: ClassVar[type[BaseModel]] = Options
    roles: ClassVar[tuple[Role, ...]] = (Role("train"),)
    fabric: Fabric

    def setup(self, fabric: Fabric) -> None:
        self.fabric = fabric
        for name, module in modules_of(self).items():
            setattr(self, name, fabric.setup_module(module))
        for name, optimizer in _attributes(self, torch.optim.Optimizer).items():
            setattr(self, name, fabric.setup_optimizers(optimizer))
        for average in _attributes(self, EMA).values():
            average.setup(fabric)

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        raise TypeError(f"{type(self).__name__} must define step(batch, progress)")

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in _stateful(self).items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, part in _stateful(self).items():
            part.load_state_dict(state[name])

    def update(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        """One optimizer step down the gradient of `loss`."""
        optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        optimizer.step()


def modules_of(trainer: object) -> dict[str, nn.Module]:
    """The networks that a trainer holds as attributes."""
    return _attributes(trainer, nn.Module)


def _attributes(owner: object, kind: type) -> dict[str, Any]:
    return {name: value for name, value in vars(owner).items() if isinstance(value, kind)}


def _stateful(owner: object) -> dict[str, Any]:
    parts = {
        k: v for k, v in vars(owner).items() if hasattr(v, "state_dict") and hasattr(v, "load_state_dict")
    }
    return {name: part for name, part in parts.items() if not isinstance(part, Fabric)}


# Optimizers (kind `optimizer`): called with the parameters, they return the torch optimizer -------------


class _OptimizerOptions(Options):
    lr: float = Field(1e-3, gt=0)
    """Learning rate before any schedule."""
    weight_decay: float = Field(0.0, ge=0)
    """Weight decay."""


class AdamOptions(_OptimizerOptions):
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay rates of the running averages of the gradient and of its square."""
    eps: float = Field(1e-8, gt=0)
    """Added to the denominator."""


class AdamWOptions(AdamOptions):
    weight_decay: float = Field(0.01, ge=0)
    """Decoupled weight decay."""


class SGDOptions(_OptimizerOptions):
    lr: float = Field(0.01, gt=0)
    """Learning rate before any schedule."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum."""
    nesterov: bool = False
    """Use Nesterov momentum."""


def _optimizer(config: BaseModel, parameters: Iterable[nn.Parameter], kind: Callable[..., Any]) -> Any:
    optimizer = kind(parameters, **config.model_dump())
    for group in optimizer.param_groups:
        group["base_lr"] = group["lr"]
    return optimizer


@takes(AdamOptions)
def adam(config: AdamOptions, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Adam (Kingma and Ba 2015)."""
    return _optimizer(config, parameters, torch.optim.Adam)


@takes(AdamWOptions)
def adamw(config: AdamWOptions, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""
    return _optimizer(config, parameters, torch.optim.AdamW)


@takes(SGDOptions)
def sgd(config: SGDOptions, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Stochastic gradient descent with momentum."""
    return _optimizer(config, parameters, torch.optim.SGD)


def scale_lr(optimizer: torch.optim.Optimizer, multiplier: float) -> None:
    """Set each group's rate to its base rate times `multiplier`."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * multiplier


# Schedules (kind `schedule`): functions of training progress p in [0, 1), so they resume by themselves ---


class Constant:
    """Always 1."""

    def __call__(self, p: float) -> float:
        return 1.0


class InverseDecay:
    """(1 + alpha p)^-beta: the learning-rate schedule of DANN (Ganin et al. 2016, section 5.2.2)."""

    class Config(Options):
        alpha: float = Field(10.0, ge=0)
        """How fast the rate falls."""
        beta: float = Field(0.75, ge=0)
        """Exponent of the decay."""

    def __init__(self, config: Config) -> None:
        self.alpha, self.beta = config.alpha, config.beta

    def __call__(self, p: float) -> float:
        return float((1 + self.alpha * p) ** -self.beta)


class OneCycle:
    """Cosine up from `start` to 1 during `warmup`, then cosine down to `end` (Smith and Topin 2018)."""

    class Config(Options):
        warmup: float = Field(0.3, ge=0, lt=1)
        """Share of training spent rising."""
        start: float = Field(0.04, ge=0)
        """First multiplier."""
        end: float = Field(1e-4, ge=0)
        """Last multiplier."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(self, p: float) -> float:
        c = self.config
        if p < c.warmup:
            return _cosine(c.start, 1.0, p / c.warmup)
        return _cosine(1.0, c.end, (p - c.warmup) / (1 - c.warmup))


class StepDecay:
    """Times `factor` after every `every` of training."""

    class Config(Options):
        factor: float = Field(0.6, gt=0)
        """Multiplied in at each drop."""
        every: float = Field(0.25, gt=0, le=1)
        """Share of training between two drops."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(self, p: float) -> float:
        return float(self.config.factor ** int(p / self.config.every))


class SigmoidRamp:
    """2 / (1 + exp(-gamma p)) - 1, from 0 to 1: the adaptation factor of DANN (Ganin et al. 2016, eq. 14)."""

    class Config(Options):
        gamma: float = Field(10.0, gt=0)
        """Steepness; the paper's is 10."""

    def __init__(self, config: Config) -> None:
        self.gamma = config.gamma

    def __call__(self, p: float) -> float:
        return 2 / (1 + math.exp(-self.gamma * p)) - 1


def _cosine(start: float, end: float, t: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * t)) / 2


Mode = Literal["train", "eval"]


def set_mode(trainer: object, mode: Mode) -> None:
    """Put every network of the trainer into training or evaluation mode."""
    for module in modules_of(trainer).values():
        module.train(mode == "train")
