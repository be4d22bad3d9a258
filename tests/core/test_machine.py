"""What a trainer may rely on in either precision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from pluglab.engine.hardware import Hardware, LabFabric


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_gradients_of_outputs_may_be_taken_and_descended(precision: str) -> None:
    """The gradient of |grad of w.x|^2 / 2 by w is w itself, through Fabric's wrapper."""
    fabric = LabFabric(Hardware("cpu", 1, precision, False, False, 1, ""))
    inner = nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        inner.weight.copy_(torch.tensor([[1.0, 2.0, -1.0, 0.5]]))  # exact in bf16
    network: Any = fabric.setup_module(inner)
    x = torch.randn(1, 4, requires_grad=True)
    output = network(x)
    assert output.dtype == torch.float32
    (gradient,) = torch.autograd.grad(output.sum(), x, create_graph=True)
    fabric.backward(gradient.square().sum() / 2)
    assert inner.weight.grad is not None
    assert torch.equal(inner.weight.grad, inner.weight)
