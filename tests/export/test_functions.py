"""Networks as functions of tensors: structures of arguments, and which axes are the batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pluglab_export.calls import Network
from pluglab_export.functions import functions_of
from pluglab_export.trees import mapped, tensors_of


class Pair(NamedTuple):
    left: Any
    right: Any


def test_structures_keep_their_shape_and_order() -> None:
    tree = {"x": torch.ones(1), "more": [Pair(torch.ones(2), 3), ("word", torch.ones(3))], "none": None}
    assert list(tensors_of(tree)) == ["x", "more_0_left", "more_1_1"]
    assert mapped(tree, len) == {"x": 1, "more": [Pair(2, 3), ("word", 3)], "none": None}


class Mixing(nn.Module):
    """Takes a doubled batch, a constant, and a flag; gives a pair."""

    def forward(self, x: Tensor, table: Tensor, *, scale: float, flag: str = "a") -> Pair:
        one, other = x.chunk(2)
        return Pair((one + other) @ table * scale, one.sum())


def called(*flags: str) -> Network:
    table = torch.randn(4, 3)
    calls: dict[str, dict[int, Mapping[str, Any]]] = {
        flag: {n: {"x": torch.randn(2 * n, 4), "table": table, "scale": 2.0, "flag": flag} for n in (2, 5)}
        for flag in flags
    }
    return Network("mixing", Mixing(), averaged=False, called_to=["sample"], calls=calls)


def test_the_batch_is_what_differs() -> None:
    (function,) = functions_of(called("a"))
    assert function.inputs == ("x", "table") and function.outputs == ("output_left", "output_right")
    assert [function.shape(i) for i in (0, 1)] == [["batch", 4], [4, 3]]
    assert function.images == (2, 5, 1) and [len(x) for x, _ in function.examples] == [4, 10, 2]


def test_arguments_that_change_nothing_make_no_function_of_their_own() -> None:
    (function,) = functions_of(called("a", "b"))
    assert function.fixed == {"scale": 2.0}
