"""What we take of Lightning Fabric, imported without torchmetrics.

Fabric asks for the version of torchmetrics, whose import brings scipy.signal and torchvision's models: 1.3 s
of a command that needs none of them. Nothing that we take depends on the answer.
"""

from __future__ import annotations

import sys

if "torchmetrics" not in sys.modules:
    sys.modules["torchmetrics"] = None  # type: ignore[assignment]  # "not installed"
    try:
        import lightning_fabric  # noqa: F401
    finally:
        del sys.modules["torchmetrics"]

from lightning_fabric import Fabric as Fabric
from lightning_fabric.plugins.precision import MixedPrecision as MixedPrecision
from lightning_fabric.plugins.precision import Precision as Precision
from lightning_fabric.wrappers import is_wrapped as is_wrapped
