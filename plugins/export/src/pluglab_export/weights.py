"""Weights as safetensors, by the names that `lab run --init` knows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from pluglab import RunError
from pluglab_export.calls import Network

FILE = "model.safetensors"


def tensors_in(networks: Sequence[Network]) -> dict[str, Tensor]:
    """Parameters and buffers of the networks, named `<network>.<key>`, on the CPU."""
    return {
        f"{network.name}.{key}": value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for network in networks
        for key, value in network.module.state_dict().items()
        if isinstance(value, Tensor)
    }


def write_weights(tensors: dict[str, Tensor], folder: Path) -> None:
    """Raises `RunError` for a file that does not hold the very same."""
    (folder / FILE).write_bytes(save(tensors, {"format": "pt"}))
    found = load_file(folder / FILE)
    if found.keys() != tensors.keys() or not all(_equal(found[name], tensors[name]) for name in tensors):
        raise RunError(f"{FILE} does not hold what was written", help=["is the disk in order?"])


def _equal(one: Tensor, other: Tensor) -> bool:
    """To the last bit, also of what is not a number."""
    bits = (tensor.flatten().view(torch.uint8) for tensor in (one, other))
    return one.dtype == other.dtype and one.shape == other.shape and torch.equal(*bits)
