from __future__ import annotations

import pytest
import torch
from torch import nn

from pluglab.protocols import Progress
from pluglab_gan.penalties import gradient_penalty, r1

from .conftest import batch_at, images_at


def images(n=4, size=3, seed=0):
    return torch.randn(n, 2, size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def test_r1_of_a_quadratic_discriminator():
    """d(x) = a |x|^2 / 2 has the gradient a x, so the penalty is the mean of a^2 |x|^2 / 2."""
    x, a = images().requires_grad_(), 1.7
    scores = a * x.square().flatten(1).sum(1) / 2
    expected = a**2 * x.detach().square().flatten(1).sum(1).mean() / 2
    torch.testing.assert_close(r1(scores, x), expected)


def test_gradient_penalty_of_a_linear_discriminator():
    """d(x) = w.x has the gradient w everywhere: (|w| - 1)^2, wherever the points lie."""
    w = images(1, seed=3)[0]
    found = gradient_penalty(lambda x: (x * w).flatten(1).sum(1), images(), images(seed=1))
    torch.testing.assert_close(found, (w.norm() - 1).square())


def test_gradient_penalty_is_taken_between_pairs():
    seen = []

    def critic(x):
        seen.append(x.detach())
        return x.flatten(1).sum(1)

    real, fake = images(64), images(64, seed=1)
    gradient_penalty(critic, real, fake)
    share = ((seen[0] - fake) / (real - fake)).flatten(1)
    torch.testing.assert_close(share, share[:, :1].expand_as(share), rtol=1e-5, atol=1e-5)
    assert 0 <= share.min() < 0.2 and 0.8 < share.max() <= 1


def test_gradient_penalty_of_a_flat_discriminator_has_a_finite_gradient():
    network = nn.Sequential(nn.Flatten(), nn.Linear(18, 1, dtype=torch.double), nn.Flatten(0))
    nn.init.zeros_(network[1].weight)
    loss = gradient_penalty(network, images(), images(seed=1))
    loss.backward()
    assert loss.item() == pytest.approx(1, abs=1e-5)
    assert network[1].weight.grad.isfinite().all()


@pytest.mark.parametrize("penalty", ["r1", "gradient_penalty"])
def test_penalties_are_differentiated_rightly_by_the_weights(penalty):
    """Double backward against finite differences, through a convolution with a smooth activation."""
    real, fake = images(2), images(2, seed=1)
    vector = images(1, seed=2).flatten(1).T

    def of(weight):
        def critic(x):
            return (nn.functional.conv2d(x, weight, padding=1).tanh().flatten(1) @ vector).squeeze(1)

        if penalty == "r1":
            x = real.clone().requires_grad_()
            return r1(critic(x), x)
        torch.manual_seed(0)
        return gradient_penalty(critic, real, fake)

    weight = (0.3 * torch.randn(2, 2, 3, 3, dtype=torch.double)).requires_grad_()
    assert torch.autograd.gradcheck(of, weight)


@pytest.mark.parametrize("penalty", ["r1", "gradient_penalty"])
def test_a_lazy_penalty_counts_as_often_as_it_is_left_out(build, penalty):
    """Over as many steps as lie between two, weight times penalty sums up to what it would at every step."""
    real, fake = images_at(0), images_at(1)

    def total(every):
        trainer = build("sngan", **{penalty: 3.0}, penalty_every=every)
        summed, logged = 0.0, []
        for step in range(4):
            progress = Progress(step, 4)
            x = trainer.real(real, progress)
            torch.manual_seed(0)
            # In evaluation mode, so that no power iteration changes D from step to step.
            scores = trainer.discriminator.eval()(x)
            value, figures = trainer.penalty(scores, x, fake, progress)
            summed += value.item()
            logged.append(set(figures))
        return summed, logged

    often, seldom = total(1), total(4)
    assert seldom[0] == pytest.approx(often[0], rel=1e-4) and often[0] > 0
    assert often[1] == [{f"loss/{penalty}"}] * 4
    assert seldom[1] == [{f"loss/{penalty}"}, set(), set(), set()]


def test_a_penalty_reaches_the_weights_of_d_and_lowers_its_gradient(build):
    lengths = {}
    for weight in (0.0, 10.0):
        fast = {"name": "adam", "lr": 0.003}
        trainer = build("dcgan", batch_norm=False, r1=weight, discriminator_optimizer=fast)
        for step in range(20):
            trainer.step(batch_at(step), Progress(step, 20))
        x = images_at(50).requires_grad_()
        lengths[weight] = r1(trainer.discriminator(x), x).item()
    assert lengths[10.0] < lengths[0.0] / 2
