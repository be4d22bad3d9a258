"""Spectral normalization of whole networks (Miyato et al. 2018, arXiv:1802.05957)."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm

Network = TypeVar("Network", bound=nn.Module)


class _Float32(nn.Module):
    """Computes `inner` outside of autocast: a norm in bf16 would be off by half a percent."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, weight: Tensor) -> Any:
        with torch.autocast(weight.device.type, enabled=False):
            return self.inner(weight)


def spectrally_normalized(network: Network) -> Network:
    """`network` with the weight of every convolution and linear layer divided, in place, by its largest
    singular value, which one power iteration a training-mode forward pass estimates (algorithm 1)."""
    for layer in list(network.modules()):
        if isinstance(layer, (nn.Linear, nn.modules.conv._ConvNd)):
            spectral_norm(layer)
            parts = _of_weight(layer)
            parts[0] = _Float32(parts[0])
    return network


@torch.no_grad()
def update_spectral_norm(network: nn.Module) -> None:
    """One power iteration for each layer of a network whose weights were changed from outside, as an
    average's are, and which is otherwise in evaluation mode."""
    for layer in network.modules():
        if parametrize.is_parametrized(layer, "weight"):
            _of_weight(layer).train()
            _ = layer.weight
            _of_weight(layer).eval()


def _of_weight(layer: nn.Module) -> parametrize.ParametrizationList:
    parts = cast(nn.ModuleDict, layer.parametrizations)["weight"]
    return cast(parametrize.ParametrizationList, parts)
