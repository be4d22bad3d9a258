"""What no library is handed: numbers that are none."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pluglab.errors import UserError


def require_finite(values: np.ndarray | Tensor, so: str, what: str = "features") -> None:
    """Raises `UserError` where some values are NaN or infinite; `so` says what cannot be done with them."""
    if not torch.as_tensor(values).isfinite().all():
        raise UserError(
            f"some {what} are NaN or infinite, so {so}",
            help=["training has diverged: lower the learning rate, or look at `learning_curves`"],
        )
