from __future__ import annotations

import pytest
import torch

from pluglab_diffusion.denoisers import NO_CLASS
from pluglab_diffusion.sampling import guided, rescaled

X, T, LABELS = torch.randn(4, 1, 3, 3), torch.tensor([3, 3, 3, 3]), torch.tensor([0, 1, 2, 1])
NOTHING = torch.full((4,), NO_CLASS)


class Network:
    """Shifts by the label and counts what it is asked."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, x, t, labels):
        self.batches.append(len(x))
        return torch.tanh(x * (labels.view(-1, 1, 1, 1) + 2)) + t.view(-1, 1, 1, 1)


@pytest.mark.parametrize("w", [0.5, 1.5, 4.0])
def test_one_doubled_pass_equals_two(w):
    network = Network()
    found = guided(network, X, T, LABELS, w)
    assert network.batches == [8]
    conditional, free = Network()(X, T, LABELS), Network()(X, T, NOTHING)
    torch.testing.assert_close(found, free + w * (conditional - free))
    torch.testing.assert_close(found, (1 + (w - 1)) * conditional - (w - 1) * free)  # Ho and Salimans, eq. 6


@pytest.mark.parametrize(("w", "labels"), [(0, NOTHING), (1, LABELS)])
def test_weights_0_and_1_are_the_models_alone_at_half_the_cost(w, labels):
    network = Network()
    assert torch.equal(guided(network, X, T, LABELS, w), Network()(X, T, labels))
    assert network.batches == [4]


def test_an_output_without_deviation_is_not_rescaled():
    """0 / 0 would be no number: the default network predicts exactly 0 at first."""
    conditional, output = torch.randn(3, 1, 4, 4), torch.randn(3, 1, 4, 4)
    output[0], conditional[0] = 0, 0
    output[1] = 0.5
    found = rescaled(output, conditional, 1.0)
    assert torch.equal(found[:2], output[:2])
    torch.testing.assert_close(found[2].std(), conditional[2].std())


def test_rescaling_gives_each_image_the_spread_of_the_unguided_one():
    conditional, output = torch.randn(2, 5, 3, 4, 4)
    output = output * torch.tensor([0.5, 1.0, 2.0, 3.0, 9.0]).view(-1, 1, 1, 1)
    full = rescaled(output, conditional, 1.0)
    torch.testing.assert_close(full.std((1, 2, 3)), conditional.std((1, 2, 3)))
    torch.testing.assert_close(rescaled(output, conditional, 0.0), output)
    torch.testing.assert_close(rescaled(output, conditional, 0.7), 0.7 * full + 0.3 * output)
    torch.testing.assert_close(
        guided(Network(), X, T, LABELS, 3.0, 0.7),
        rescaled(guided(Network(), X, T, LABELS, 3.0), Network()(X, T, LABELS), 0.7),
    )
