"""Transposed convolutions by quicker ways give what torch's give, forward, back, and back again."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pluglab.training.convolutions import ConvTranspose2d

CASES = {
    "one pixel": ((7, 5, 4), {}, (3, 7, 1, 1)),
    "one pixel, without a bias": ((7, 5, 4), {"bias": False}, (3, 7, 1, 1)),
    "one pixel, a wide kernel": ((7, 5, (2, 3)), {"stride": 2}, (3, 7, 1, 1)),
    "one pixel, no image": ((7, 5, 4), {}, (0, 7, 1, 1)),
    "one pixel, padded": ((7, 5, 4), {"padding": 1}, (3, 7, 1, 1)),
    "one pixel, in groups": ((6, 4, 4), {"groups": 2}, (3, 6, 1, 1)),
    "one pixel, dilated": ((6, 4, 2), {"dilation": 2}, (3, 6, 1, 1)),
    "one pixel, one more": ((6, 4, 2), {"stride": 2, "output_padding": 1}, (3, 6, 1, 1)),
    "an image": ((4, 6, 4), {"stride": 2, "padding": 1}, (3, 4, 5, 6)),
}


def both(case: str, last: bool) -> tuple[ConvTranspose2d, nn.ConvTranspose2d, Tensor]:
    """Ours and torch's with the same numbers in the same layout, and an input."""
    words, options, shape = CASES[case]
    torch.manual_seed(0)
    ours, torchs = ConvTranspose2d(*words, **options), nn.ConvTranspose2d(*words, **options)
    torchs.load_state_dict(ours.state_dict())
    layout = torch.channels_last if last else torch.contiguous_format
    return ours.to(memory_format=layout), torchs.to(memory_format=layout), torch.randn(shape)


def outcome(module: nn.Module, images: Tensor, bf16: bool) -> list[Tensor]:
    """The output, the gradients of a loss, and those of the squared input's gradient."""
    images = images.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        output = module(images)
    learned = list(module.parameters())
    loss = (output.float() * torch.linspace(-1, 1, output[:1].numel()).view(output[:1].shape)).square().sum()
    first = torch.autograd.grad(loss, [images, *learned], create_graph=True)
    second = torch.autograd.grad(first[0].square().sum(), learned, allow_unused=True, materialize_grads=True)
    return [output, *first, *second]


@pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("bf16", [False, True], ids=["32", "bf16"])
@pytest.mark.parametrize("case", CASES)
def test_equal_but_for_rounding(case: str, bf16: bool, last: bool) -> None:
    ours, torchs, images = both(case, last)
    found, expected = outcome(ours, images, bf16), outcome(torchs, images, bf16)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        scale = float(other.detach().abs().max()) if other.numel() else 1.0
        torch.testing.assert_close(one, other, rtol=0, atol=(0.03 if bf16 else 1e-5) * scale)


@pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("case", ["one pixel", "an image"])
def test_the_layout_stays(case: str, last: bool) -> None:
    ours, torchs, images = both(case, last)
    with torch.autocast("cpu", torch.bfloat16):
        assert ours(images).stride() == torchs(images).stride()


def test_what_is_printed_and_saved_is_torchs() -> None:
    ours, torchs, _ = both("an image", last=False)
    assert repr(ours) == repr(torchs)
    assert list(ours.state_dict()) == list(torchs.state_dict())


def test_a_wanted_size_and_a_single_image_are_understood() -> None:
    ours, torchs, images = both("an image", last=False)
    assert ours(images, [11, 12]).shape == torchs(images, [11, 12]).shape == (3, 6, 11, 12)
    torch.testing.assert_close(ours(images[0]), torchs(images[0]))


def test_one_pixel_is_a_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the tests above would hold torch's way against itself."""
    ours, _, images = both("one pixel", last=True)
    monkeypatch.setattr(torch.nn.functional, "conv_transpose2d", None)
    assert ours(images).shape == (3, 5, 4, 4)
