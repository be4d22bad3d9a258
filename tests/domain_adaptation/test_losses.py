from __future__ import annotations

import math

import numpy as np
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
