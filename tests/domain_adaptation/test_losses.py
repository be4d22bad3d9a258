from __future__ import annotations

import math

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
