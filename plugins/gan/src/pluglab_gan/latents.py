"""What latents are drawn from."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Distribution = Literal["normal", "uniform"]


def drawn(distribution: Distribution, empty: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """`empty` filled with latents: standard normal, or uniform in [-1, 1]."""
    if distribution == "normal":
        return empty.normal_(generator=generator)
    return empty.uniform_(-1, 1, generator=generator)
