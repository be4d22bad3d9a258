"""Group norm by a quicker way gives what torch's gives, forward and back."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pluglab.training.group_norm import GroupNorm


def outcome(module: nn.Module, images: Tensor) -> list[Tensor]:
    images = images.detach().requires_grad_()
    found = module(images)
    loss = (found.float() * torch.linspace(-1, 1, found.numel()).view(found.shape)).sum()
    return [found, *torch.autograd.grad(loss, [images, *module.parameters()])]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize(("groups", "channels"), [(1, 8), (4, 32), (2, 64), (8, 8)])
def test_equal_but_for_rounding_in_the_same_layout(
    groups: int, channels: int, last: bool, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    ours, torchs = GroupNorm(groups, channels), nn.GroupNorm(groups, channels)
    nn.init.normal_(ours.weight)
    nn.init.normal_(ours.bias)
    torchs.load_state_dict(ours.state_dict())
    images = (3 + 2 * torch.randn(3, channels, 6, 5)).to(dtype)
    images = images.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
    near = 0.02 if dtype == torch.bfloat16 else 1e-5
    for one, other in zip(outcome(ours, images), outcome(torchs, images), strict=True):
        assert (one.dtype, one.stride()) == (other.dtype, other.stride())
        scale = float(other.detach().abs().max())
        torch.testing.assert_close(one.float(), other.float(), rtol=0, atol=near * scale)


@pytest.mark.parametrize(
    ("groups", "dtype", "round"),
    [(4, torch.bfloat16, True), (4, torch.float32, False), (1, torch.bfloat16, False)],
)
def test_narrow_groups_of_bf16_go_the_other_way(
    groups: int, dtype: torch.dtype, round: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    normed = nn.functional.group_norm

    def watched(input: Tensor, *more: object) -> Tensor:
        seen.append(input.is_contiguous())
        return normed(input, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(nn.functional, "group_norm", watched)
    images = torch.randn(2, 32, 6, 5, dtype=dtype).contiguous(memory_format=torch.channels_last)
    GroupNorm(groups, 32)(images)
    assert seen == [round]


def test_what_is_printed_is_torchs() -> None:
    assert repr(GroupNorm(4, 32)) == repr(nn.GroupNorm(4, 32))
