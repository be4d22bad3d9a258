from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from pluglab.errors import UserError
from pluglab_domain_adaptation.networks import DomainNetwork, reverse, statistics_kept


def test_reversal_keeps_values_and_scales_gradients_by_minus_the_factor():
    x = torch.randn(4, 3, dtype=torch.double, requires_grad=True)
    # Going through the reversal with factor -1 is the identity, whose gradient gradcheck can verify.
    assert torch.autograd.gradcheck(lambda x: reverse(x, -1.0).pow(3), x)
    assert torch.equal(reverse(x, 0.7), x)
    (plain,) = torch.autograd.grad(x.pow(3).sum(), x)
    (turned,) = torch.autograd.grad(reverse(x, 0.7).pow(3).sum(), x)
    torch.testing.assert_close(turned, -0.7 * plain)


def images() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    source = torch.randn(16, 2, 4, 4, generator=generator)
    return source, 3 * torch.randn(16, 2, 4, 4, generator=generator) + 5


def layer() -> nn.Module:
    return nn.Sequential(nn.BatchNorm2d(2, momentum=1.0))


def test_per_domain_statistics_equal_one_batch_norm_a_domain():
    source, target = images()
    network = DomainNetwork(layer(), "per_domain")
    both = network(torch.cat([source, target]), "both")
    torch.testing.assert_close(both, torch.cat([layer()(source), layer()(target)]))
    network.eval()
    for role, x in (("source", source), ("target", target)):
        assert network(x, role).mean().abs() < 1e-5
        assert (network(x, role).std() - 1).abs() < 1e-2


def test_a_role_that_is_neither_domain_gets_the_statistics_of_none():
    """The first half of its images got the source's, the second the target's."""
    network = DomainNetwork(layer(), "per_domain").eval()
    with pytest.raises(UserError, match="the role 'val' is neither 'source' nor 'target'") as told:
        network(images()[0], "val")
    assert "trainer.domains.val" in told.value.help[0]
    assert DomainNetwork(layer(), "joint").eval()(images()[0], "val").shape == (16, 2, 4, 4)


def test_one_image_of_a_domain_is_too_few_for_batch_norm():
    network = DomainNetwork(nn.Sequential(nn.BatchNorm1d(2)), "per_domain")
    with pytest.raises(UserError, match="from one image a domain at a time") as told:
        network(torch.randn(2, 2), "both")
    assert "batch_size" in told.value.help[0]
    assert network.eval()(torch.randn(1, 2), "source").shape == (1, 2)


def test_statistics_can_be_kept_while_the_batch_still_normalizes():
    norm, x = nn.BatchNorm2d(2), images()[1]
    expected = copy.deepcopy(norm)(x)
    before = copy.deepcopy(norm.state_dict())
    with statistics_kept(norm):
        torch.testing.assert_close(norm(x), expected)
    assert all(torch.equal(before[name], value) for name, value in norm.state_dict().items())
    norm(x)
    assert not torch.equal(before["running_mean"], norm.state_dict()["running_mean"])


def test_joint_statistics_are_those_of_one_concatenated_batch():
    source, target = images()
    x = torch.cat([source, target])
    network = DomainNetwork(layer(), "joint")
    torch.testing.assert_close(network(x, "both"), layer()(x))
    network.eval()
    assert torch.equal(network(source, "source"), network(source, "target"))


def test_domains_share_scale_and_shift_so_no_parameter_is_added():
    plain = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.BatchNorm2d(4)))
    names = len(list(plain.parameters()))
    network = DomainNetwork(plain, "per_domain")
    assert len(list(network.parameters())) == names
    norm = network.network[2][0]
    assert norm.source.weight is norm.target.weight
