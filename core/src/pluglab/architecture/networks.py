"""Networks as plain data, as architecture.json of a run folder holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

Shape = tuple[int | str, ...]
"""Sizes; one that grows with the batch is 'N', or '4N' where it is 4 times as large as the batch."""


@dataclass(frozen=True)
class Layer:
    """One layer, as often as the network has it under a name.

    `arguments` are those that `print(module)` shows, with what normalizes the weights behind them.
    `parameters` are those that no earlier layer has counted, so that shared ones count once. `calls` is how
    often one pass through the network uses the layer, and `outputs` are the shapes of its first call; it has
    none where it was never called. `shares` names the earlier layer that this one is, or whose parameters it
    has.
    """

    name: str
    type: str
    arguments: str
    outputs: tuple[Shape, ...]
    calls: int
    parameters: int
    trainable: int
    shares: str | None = None


@dataclass(frozen=True)
class Memory:
    """Bytes of one pass through a network: of its inputs, of the outputs of all calls of its layers, and of
    its parameters."""

    inputs: int
    outputs: int
    parameters: int

    @property
    def total(self) -> int:
        """An estimate for training as torchsummary makes it: a gradient for each output beside it."""
        return self.inputs + 2 * self.outputs + self.parameters


@dataclass(frozen=True)
class Network:
    """One network. `printed` is its nested form, `memory` counts at the batch size of the architecture."""

    name: str
    type: str
    inputs: tuple[Shape, ...]
    layers: tuple[Layer, ...]
    printed: str
    memory: Memory

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def trainable(self) -> int:
        """Parameters that require a gradient."""
        return sum(layer.trainable for layer in self.layers)

    def plain(self) -> dict[str, Any]:
        """Values for `json.dumps`, totals included."""
        totals = _totals(self.parameters, self.trainable)
        return {**asdict(self), **totals, "memory": {**asdict(self.memory), "total": self.memory.total}}

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Network:
        """From what `plain` gave."""
        layers = tuple(Layer(**{**one, "outputs": _shapes(one["outputs"])}) for one in value["layers"])
        memory = Memory(*(value["memory"][name] for name in ("inputs", "outputs", "parameters")))
        inputs = _shapes(value["inputs"])
        return cls(value["name"], value["type"], inputs, layers, value["printed"], memory)


@dataclass(frozen=True)
class Architecture:
    """All networks of a trainer; `batch_size` is the one at which memory is counted."""

    networks: tuple[Network, ...]
    batch_size: int

    @property
    def parameters(self) -> int:
        return sum(network.parameters for network in self.networks)

    @property
    def trainable(self) -> int:
        return sum(network.trainable for network in self.networks)

    def plain(self) -> dict[str, Any]:
        """Values for `json.dumps`, totals included. Memory is in bytes."""
        networks = [network.plain() for network in self.networks]
        totals = _totals(self.parameters, self.trainable)
        return {"batch_size": self.batch_size, "networks": networks, **totals}

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Architecture:
        """From what `plain` gave."""
        return cls(tuple(map(Network.of, value["networks"])), value["batch_size"])


def _totals(parameters: int, trainable: int) -> dict[str, int]:
    return {"parameters": parameters, "trainable": trainable, "frozen": parameters - trainable}


def _shapes(values: Any) -> tuple[Shape, ...]:
    return tuple(map(tuple, values))
