"""Training loops as the widely copied scripts write them: one file a family, torch and nothing else.

Float32, the default memory layout, no autocast, every network run as often as the script runs it, batches
that lie ready as float tensors. The networks are those that reports print, so that a method of pluglab can be
held beside them, number of parameters by number of parameters. They are what one would otherwise use, not
what could be made of them.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn


class Loop(ABC):
    """One training: `step` trains one step, `networks` are what it trains."""

    size: ClassVar[int]
    """Height and width of the images."""
    batch: ClassVar[int]
    """Images a step, of each domain where there are two."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.make()
        for network in self.networks().values():
            network.to(device).train()
        self.prepare()
        self.batches = self._batches()

    @abstractmethod
    def make(self) -> None:
        """Make the networks."""

    @abstractmethod
    def prepare(self) -> None:
        """Make the optimizers."""

    @abstractmethod
    def step(self) -> Tensor:
        """One step. Returns a loss, detached."""

    def networks(self) -> Mapping[str, nn.Module]:
        return {name: part for name, part in vars(self).items() if isinstance(part, nn.Module)}

    def parameters(self) -> int:
        return sum(p.numel() for network in self.networks().values() for p in network.parameters())

    def _batches(self, count: int = 8) -> Iterator[tuple[Tensor, Tensor]]:
        """Images in [-1, 1] and labels of ten classes, over and over."""
        generator = torch.Generator().manual_seed(0)
        images = torch.rand(count, self.batch, 3, self.size, self.size, generator=generator) * 2 - 1
        labels = torch.randint(10, (count, self.batch), generator=generator)
        return itertools.cycle(zip(images.to(self.device), labels.to(self.device), strict=True))
