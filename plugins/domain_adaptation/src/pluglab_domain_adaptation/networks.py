"""Networks that know domains: gradient reversal, and batch norm with statistics of each domain."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pluglab.errors import UserError

Statistics = Literal["joint", "per_domain"]
Domain = Literal["source", "target"]


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.factor * gradients[0], None


def reverse(features: Tensor, factor: float) -> Tensor:
    """The same values; the gradient comes back times -`factor` (Ganin et al. 2016, eq. 16 and 17)."""
    return _Reverse.apply(features, factor)


class DomainNetwork(nn.Module):
    """A network that is told where its input comes from: `role` is 'source', 'target', or 'both'.

    'both' is one batch whose first half is the source's and whose second half, of equal size, the
    target's. With `joint` batch norm the role changes nothing; else another one raises `UserError`.
    """

    def __init__(self, network: nn.Module, batch_norm: Statistics = "joint") -> None:
        super().__init__()
        self.network = with_domain_statistics(network) if batch_norm == "per_domain" else network
        self._norms = [m for m in self.modules() if isinstance(m, DomainBatchNorm)]

    def copy_statistics(self) -> None:
        """Let the target's statistics start as the source's."""
        for norm in self._norms:
            norm.target.load_state_dict(norm.source.state_dict())

    def forward(self, inputs: Tensor, role: str = "both") -> Tensor:
        for norm in self._norms:
            norm.role = role
        try:
            return self.network(inputs)
        except ValueError as error:  # torch's, of a batch norm that is given one value a channel
            if not self.training or len(inputs) > 2:
                raise
            help = ["take a larger `batch_size`, or fewer `gradient_accumulation_steps`"]
            raise UserError("batch norm cannot learn from one image a domain at a time", help=help) from error


class DomainBatchNorm(nn.Module):
    """Batch norm whose mean and variance are the domain's own; scale and shift are shared.

    The statistics of AdaBN (Li et al. 2016), kept up during training as in DSBN (Chang et al. 2019).
    """

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__()
        self.source, self.target = norm, copy.deepcopy(norm)
        self.target.weight, self.target.bias = norm.weight, norm.bias
        self.role = "both"

    def forward(self, inputs: Tensor) -> Tensor:
        if self.role == "both":
            source, target = inputs.chunk(2)
            return torch.cat([self.source(source), self.target(target)])
        return self.source(inputs) if require_domain(self.role) == "source" else self.target(inputs)


def require_domain(role: str) -> str:
    """'source' or 'target'. Raises `UserError` for a role that is neither."""
    if role not in ("source", "target"):
        message = f"the role '{role}' is neither 'source' nor 'target', and the trainer treats the two unlike"
        raise UserError(message, help=[f'say which it is to be taken for: trainer.domains.{role} = "target"'])
    return role


def has_batch_norm(*networks: nn.Module) -> bool:
    """Whether any of the networks has one."""
    return any(isinstance(module, _BatchNorm) for network in networks for module in network.modules())


@contextmanager
def statistics_kept(*networks: nn.Module) -> Iterator[None]:
    """Batch norms in training mode normalize by the batch, and leave their running averages as they are."""
    modules = [module for network in networks for module in network.modules()]
    norms = [m for m in modules if isinstance(m, _BatchNorm) and m.track_running_stats]
    try:
        for norm in norms:
            norm.track_running_stats = False
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def with_domain_statistics(network: nn.Module) -> nn.Module:
    """`network` with every batch norm replaced, in place, by a `DomainBatchNorm`."""
    if isinstance(network, _BatchNorm):
        return DomainBatchNorm(network)
    for name, child in network.named_children():
        setattr(network, name, with_domain_statistics(child))
    return network
