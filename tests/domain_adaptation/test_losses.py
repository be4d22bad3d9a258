from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pluglab_domain_adaptation import losses


def test_domain_loss_of_one_or_two_logits_is_the_same_cross_entropy():
    difference = torch.tensor([0.3, -1.2, 2.0, 0.5], dtype=torch.double)
    is_target = torch.tensor([0, 0, 1, 1])
    p = [1 / (1 + math.exp(-d)) for d in difference.tolist()]
    expected = -(math.log(1 - p[0]) + math.log(1 - p[1]) + math.log(p[2]) + math.log(p[3])) / 4
    two = torch.stack([torch.zeros(4), difference], dim=1)
    for logits in (difference[:, None], two):
        assert math.isclose(losses.domain_loss(logits, is_target).item(), expected, rel_tol=1e-9)
        assert losses.domain_accuracy(logits, is_target).item() == 0.75


def test_twice_the_domain_loss_is_the_sum_of_both_domains_means():
    """Which is what eq. 9 of DANN weighs: domain_weight = 2 is the paper's 1."""
    logits, is_target = torch.randn(10, 2), losses.domain_labels(10, torch.device("cpu"))
    means = [losses.domain_loss(logits[is_target == side], is_target[is_target == side]) for side in (0, 1)]
    torch.testing.assert_close(2 * losses.domain_loss(logits, is_target), sum(means))


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_losses_of_bf16_values_are_those_of_the_same_values_in_float64(columns, scale):
    """Within bf16 a sum over a batch would lose all but two digits."""
    generator = torch.Generator().manual_seed(0)
    logits = (torch.randn(300, columns, generator=generator) * scale).bfloat16()
    images, made = (torch.randn(2, 20, 3, 8, 8, generator=generator) + 3 * scale).bfloat16()
    codes = torch.randn(2, 64, 12, generator=generator).bfloat16() * scale
    is_target = losses.domain_labels(300, torch.device("cpu"))
    for loss, given in (
        (lambda x: losses.domain_loss(x, is_target), (logits,)),
        (lambda x: losses.inverted_domain_loss(x, is_target), (logits,)),
        (losses.si_mse, (images, made)),
        (losses.difference_loss, (codes[0], codes[1])),
    ):
        found, expected = loss(*given), loss(*(x.double() for x in given))
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-7)


def test_si_mse_of_a_large_offset_does_not_cancel():
    x = torch.randn(4, 3, 8, 8, dtype=torch.double)
    y = x + torch.randn(4, 3, 8, 8, dtype=torch.double) / 100
    found = losses.si_mse(x.float(), y.float() + 1000)
    torch.testing.assert_close(found.double(), losses.si_mse(x, y), rtol=1e-2, atol=0)


@pytest.mark.parametrize("scale", [0.0, 1e-9, 1e9])
def test_gradients_of_codes_of_any_size_are_finite(scale):
    codes = (torch.randn(2, 6, 4) * scale).requires_grad_()
    losses.difference_loss(codes[0], codes[1]).backward()
    assert codes.grad.isfinite().all()


def test_the_first_half_of_a_joint_batch_is_the_source():
    assert losses.domain_labels(6, torch.device("cpu")).tolist() == [0, 0, 0, 1, 1, 1]


def test_accuracy_is_a_share():
    logits = torch.eye(4)
    assert losses.accuracy(logits, torch.tensor([0, 1, 2, 0])).item() == 0.75


def test_inverted_labels_swap_the_domains():
    logits, is_target = torch.randn(6, 2), torch.tensor([0, 1, 1, 0, 1, 0])
    swapped = losses.domain_loss(logits.flip(1), is_target)
    torch.testing.assert_close(losses.inverted_domain_loss(logits, is_target), swapped)


def test_si_mse_is_equation_4_of_each_image():
    x, y = np.random.default_rng(0).normal(size=(2, 5, 3, 4, 4))
    k, expected = 3 * 4 * 4, []
    for d in (x - y).reshape(5, -1):
        expected.append(np.sum(d**2) / k - np.sum(d) ** 2 / k**2)
    found = losses.si_mse(torch.from_numpy(x), torch.from_numpy(y)).item()
    assert math.isclose(found, np.mean(expected), rel_tol=1e-12)


def test_si_mse_ignores_an_offset_of_each_image_but_not_one_within_it():
    x = torch.randn(4, 3, 8, 8, dtype=torch.double)
    offset = torch.tensor([1.0, -2.0, 3.0, 0.5], dtype=torch.double).view(4, 1, 1, 1)
    assert losses.si_mse(x, x + offset).item() < 1e-12
    half = torch.zeros_like(x)
    half[..., 4:] = 2.0  # half the values differ by 2: 4/2 - (2/2)^2
    assert math.isclose(losses.si_mse(x, x + half).item(), 1.0, rel_tol=1e-9)


def test_difference_loss_is_equation_5_of_centered_unit_rows():
    private, shared = np.random.default_rng(1).normal(size=(2, 8, 6)) + 3
    rows = []
    for codes in (private, shared):
        centered = codes - codes.mean(0)
        rows.append(centered / np.linalg.norm(centered, axis=1, keepdims=True))
    expected = np.linalg.norm(rows[1].T @ rows[0], "fro") ** 2 / 36
    found = losses.difference_loss(torch.from_numpy(private), torch.from_numpy(shared)).item()
    assert math.isclose(found, expected, rel_tol=1e-9)


def test_difference_loss_sees_correlation_and_not_a_common_mean():
    codes = torch.randn(1000, 4, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    other = torch.randn(1000, 4, generator=torch.Generator().manual_seed(1), dtype=torch.double)
    near = losses.difference_loss(codes, codes)
    far = losses.difference_loss(codes, other)
    assert far < near / 50
    torch.testing.assert_close(losses.difference_loss(codes + 10, other - 10), far)
