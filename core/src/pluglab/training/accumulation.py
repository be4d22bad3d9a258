"""How the gradients of a batch become a step: in one part or several, clipped or not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Accumulation:
    """How gradients become steps: part `part` of `parts` of a batch; their norm is clipped at the end."""

    part: int = 0
    parts: int = 1
    max_grad_norm: float | None = None
    updated: set[int] = field(default_factory=set, compare=False, repr=False)
    """The ids of the optimizers that this part has been given to."""
    norms: dict[str, Tensor] | None = field(default=None, compare=False, repr=False)
    """Where the norm of each optimizer's gradient goes, by 'gradient_norm/<optimizer>', if anyone asks."""

    @property
    def first(self) -> bool:
        return self.part == 0

    @property
    def last(self) -> bool:
        return self.part == self.parts - 1


def accumulation_of(fabric: object) -> Accumulation:
    """What the engine has set; without an engine every step is one of its own."""
    found: Accumulation = getattr(fabric, "accumulation", Accumulation())
    return found
