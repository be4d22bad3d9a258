"""The double-conv U-Net's attention is torch's, by another way."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pluglab_diffusion.denoisers.double_conv import SelfAttention


def pair() -> tuple[SelfAttention, nn.MultiheadAttention]:
    torch.manual_seed(0)
    ours = SelfAttention(24, 4)
    for bias in (ours.in_proj_bias, ours.out_proj.bias):
        nn.init.normal_(bias)
    torchs = nn.MultiheadAttention(24, 4, batch_first=True)
    torchs.load_state_dict(ours.state_dict())
    return ours, torchs


def outcome(module: nn.Module, rows: Tensor, bf16: bool) -> list[Tensor]:
    rows = rows.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        if isinstance(module, SelfAttention):
            found = module(rows)
        else:
            found = module(rows, rows, rows, need_weights=False)[0]
    loss = (found.float() * torch.linspace(-1, 1, found.numel()).view(found.shape)).sum()
    return [found, *torch.autograd.grad(loss, [rows, *module.parameters()])]


@pytest.mark.parametrize("bf16", [False, True], ids=["32", "bf16"])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_it_is_torchs_but_for_rounding(mode: str, bf16: bool) -> None:
    ours, torchs = (one.train(mode == "train") for one in pair())
    rows = torch.randn(3, 10, 24)
    for one, other in zip(outcome(ours, rows, bf16), outcome(torchs, rows, bf16), strict=True):
        assert one.shape == other.shape
        scale = float(other.detach().abs().max())
        torch.testing.assert_close(one.float(), other.float(), rtol=0, atol=(0.03 if bf16 else 1e-5) * scale)


def test_it_begins_and_is_saved_as_torchs() -> None:
    torch.manual_seed(0)
    ours = SelfAttention(24, 4).state_dict()
    torch.manual_seed(0)
    torchs = nn.MultiheadAttention(24, 4, batch_first=True).state_dict()
    assert list(ours) == list(torchs)
    assert all(torch.equal(ours[name], torchs[name]) for name in ours)
