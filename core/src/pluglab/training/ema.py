"""An exponential moving average of a network's weights: what generators are sampled from."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from pluglab.components import Options
from pluglab.training.accumulation import accumulation_of
from pluglab.training.fabric import Fabric


class EMAOptions(Options):
    """Options of a trainer that keeps an average of its weights."""

    ema_half_life: float = Field(10_000, ge=0)
    """Images after which a weight counts half in the average that is sampled from; 0: no average."""
    ema_ramp_up: float = Field(0.05, ge=0)
    """The half-life is at most this share of the images seen so far (Karras et al. 2020, arXiv:2006.06676),
    so that the average soon forgets the first steps. 0: the full half-life from the start."""


class EMA:
    """A copy of `network`, always in evaluation mode, that follows its weights and running statistics.

    Parameters and floating-point buffers are averaged together in one fused kernel, other buffers copied.
    Calling it runs the average without gradients, in the precision of the run.
    """

    def __init__(self, network: nn.Module, options: EMAOptions) -> None:
        self.source, self.options = network, options
        self._precision: Callable[[], AbstractContextManager[Any]] = nullcontext
        self._fabric: Fabric | None = None
        self.restart()

    def restart(self) -> None:
        """Follow from the network as it is now, as after its weights were put in from outside."""
        self.network = copy.deepcopy(self.source).eval().requires_grad_(False)
        pairs = list(zip(_tensors(self.network), _tensors(self.source), strict=True))
        self._averaged = [pair for pair in pairs if pair[0].is_floating_point()]
        self._copied = [pair for pair in pairs if not pair[0].is_floating_point()]

    def setup(self, fabric: Fabric) -> None:
        """Start again as a copy of the network, on its device and in its memory layout."""
        self._precision, self._fabric = fabric.autocast, fabric
        self.restart()

    @torch.no_grad()
    def update(self, step: int, images: int) -> None:
        """Move towards the network after step `step` (counted from 0) of `images` images each.

        Where the gradients of several parts of a batch make one step, it moves after the last of them.
        """
        now = accumulation_of(self._fabric)
        if not now.last:
            return
        images *= now.parts
        share = 1 - decay(self.options, images, seen=(step + 1) * images)
        averages, values = map(list, zip(*self._averaged, strict=True))
        torch._foreach_lerp_(averages, values, share)
        for average, value in self._copied:
            average.copy_(value)

    @torch.no_grad()
    def __call__(self, *inputs: Any) -> Tensor:
        """The average's output, in float32."""
        with self._precision():
            output: Tensor = self.network(*inputs)
        return output.float()

    def state_dict(self) -> dict[str, Any]:
        return self.network.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state)


def decay(options: EMAOptions, images: int, seen: int) -> float:
    """What remains of the average in a step of `images` images, `seen` so far: 0.5^(images / half-life)."""
    ramp = options.ema_ramp_up * seen if options.ema_ramp_up else options.ema_half_life
    half_life = min(options.ema_half_life, ramp)
    return float(0.5 ** (images / half_life)) if half_life > 0 else 0.0


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]
