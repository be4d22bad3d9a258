"""Attention is one function, however it is computed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pluglab.training import attention
from pluglab.training.attention import attend

WAYS = {"written out": 2**30, "one operation": -1}


def inputs(query: int, keys: int, width: int, values: int, dtype: torch.dtype = torch.double) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = (3, query, width), (3, keys, width), (3, keys, values)
    return [
        torch.randn(*s, generator=generator, dtype=torch.double).to(dtype).requires_grad_() for s in shapes
    ]


def explicit(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Image by image and place by place, in the words of the equation."""
    rows = []
    for q, k, v in zip(query, key, value, strict=True):
        for place in q:
            shares = torch.stack([(scale * place.dot(other)).exp() for other in k])
            rows.append((shares[:, None] / shares.sum() * v).sum(0))
    return torch.stack(rows).view(*query.shape[:2], value.shape[2])


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    monkeypatch.setattr(attention, "WRITTEN_OUT", WAYS[request.param])
    return request.param


SHAPES = {"narrow queries": (6, 4, 4, 32), "one width": (5, 5, 16, 16), "an odd width": (4, 7, 3, 5)}


@pytest.mark.parametrize("scale", [None, 1.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_attention_and_its_gradients_are_those_of_the_equation(way, shape, scale):
    query, key, value = given = inputs(*SHAPES[shape])
    expected = explicit(query, key, value, SHAPES[shape][2] ** -0.5 if scale is None else scale)
    found = attend(query, key, value, scale)
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(expected)
    for one, other in zip(
        torch.autograd.grad(found, given, weights), torch.autograd.grad(expected, given, weights), strict=True
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("shape", SHAPES)
def test_both_ways_agree_under_autocast(shape, monkeypatch):
    """As well as bf16 allows: to 2^-8 of the largest value."""
    results = []
    for limit in WAYS.values():
        monkeypatch.setattr(attention, "WRITTEN_OUT", limit)
        query, key, value = given = inputs(*SHAPES[shape], dtype=torch.float32)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = attend(query, key, value)
        results.append([found.float(), *torch.autograd.grad(found.float().square().sum(), given)])
    query, key, value = given = inputs(*SHAPES[shape])
    output = attend(query, key, value)
    exact = [output, *torch.autograd.grad(output.square().sum(), given)]
    for one, other, true in zip(*results, exact, strict=True):
        bound = 4 * 2**-8 * float(true.detach().abs().max())
        assert float((one - true).abs().max()) < bound
        assert float((other - true).abs().max()) < bound


def test_attention_that_is_written_out_can_be_differentiated_twice():
    assert torch.autograd.gradgradcheck(attend, inputs(3, 2, 2, 3))


def test_weights_too_large_are_not_written_out(monkeypatch):
    """2 images x 100 x 50 weights of 4 bytes, beside a limit of one byte less."""
    calls = []

    def noted(*args, **options):
        calls.append(args)
        return torch.zeros(2, 1, 100, 8)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", noted)
    given = torch.zeros(2, 100, 8), torch.zeros(2, 50, 8), torch.zeros(2, 50, 8)
    monkeypatch.setattr(attention, "WRITTEN_OUT", 40_000)
    attend(*given)
    assert not calls
    monkeypatch.setattr(attention, "WRITTEN_OUT", 39_999)
    attend(*given)
    assert len(calls) == 1
