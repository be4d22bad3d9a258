from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from pluglab.protocols import Progress
from pluglab.recipe.resolve import make
from pluglab_gan.penalties import gradient_penalty, zero_centered

from .conftest import batch_at, images_at


def images(n=4, size=3, seed=0):
    return torch.randn(n, 2, size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def test_r1_of_a_quadratic_discriminator():
    """d(x) = a |x|^2 / 2 has the gradient a x, so the penalty is the mean of a^2 |x|^2 / 2."""
    x, a = images().requires_grad_(), 1.7
    scores = a * x.square().flatten(1).sum(1) / 2
    expected = a**2 * x.detach().square().flatten(1).sum(1).mean() / 2
    torch.testing.assert_close(zero_centered(scores, x), expected)


def test_r1_and_r2_of_a_linear_discriminator_are_alike():
    """d(x) = w.x has the gradient w everywhere: |w|^2 / 2 of real and of generated images."""
    w = images(1, seed=3)[0]
    for x in (images().requires_grad_(), images(seed=1).requires_grad_()):
        torch.testing.assert_close(zero_centered((x * w).flatten(1).sum(1), x), w.square().sum() / 2)


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
    layer = nn.Linear(18, 1, dtype=torch.double)
    network = nn.Sequential(nn.Flatten(), layer, nn.Flatten(0))
    nn.init.zeros_(layer.weight)
    loss = gradient_penalty(network, images(), images(seed=1))
    loss.backward()
    assert loss.item() == pytest.approx(1, abs=1e-5)
    assert network[1].weight.grad.isfinite().all()


@pytest.mark.parametrize("penalty", ["zero_centered", "gradient_penalty"])
def test_penalties_are_differentiated_rightly_by_the_weights(penalty):
    """Double backward against finite differences, through a convolution with a smooth activation."""
    real, fake = images(2), images(2, seed=1)
    vector = images(1, seed=2).flatten(1).T

    def of(weight):
        def critic(x):
            return (nn.functional.conv2d(x, weight, padding=1).tanh().flatten(1) @ vector).squeeze(1)

        if penalty == "zero_centered":
            x = real.clone().requires_grad_()
            return zero_centered(critic(x), x)
        torch.manual_seed(0)
        return gradient_penalty(critic, real, fake)

    weight = (0.3 * torch.randn(2, 2, 3, 3, dtype=torch.double)).requires_grad_()
    assert torch.autograd.gradcheck(of, weight)


def penalty_of(trainer, real, fake, progress):
    trainer.discriminator.eval()
    pairs = [(x, trainer.discriminator(x)) for x in trainer.judged(real, fake, progress)]
    return trainer.penalty(*pairs, progress)


@pytest.mark.parametrize("penalty", ["r1", "r2", "gradient_penalty"])
def test_a_lazy_penalty_counts_as_often_as_it_is_left_out(build, penalty):
    """Over as many steps as lie between two, weight times penalty sums up to what it would at every step."""
    real, fake = images_at(0), images_at(1)

    def total(every):
        trainer = build("sngan", **{penalty: 3.0}, penalty_every=every)
        summed, logged = 0.0, []
        for step in range(4):
            progress = Progress(step, 4)
            torch.manual_seed(0)
            # In evaluation mode, so that no power iteration changes D from step to step.
            value, figures = penalty_of(trainer, real, fake, progress)
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
        lengths[weight] = zero_centered(trainer.discriminator(x), x).item()
    assert lengths[10.0] < lengths[0.0] / 2


def test_r1_is_of_real_and_r2_of_generated_images_and_both_follow_their_schedule(build):
    """3 R1 + 5 R2, halved halfway; the weight of WGAN-GP has no schedule."""
    real, fake = images_at(0), images_at(1)
    halved = {"name": "step_decay", "factor": 0.5, "every": 0.5}
    trainer = build("sngan", r1=3.0, r2=5.0, penalty_schedule=halved)
    trainer.discriminator.eval()
    bare = {}
    for name, x in (("r1", real.clone().requires_grad_()), ("r2", fake.clone().requires_grad_())):
        bare[name] = zero_centered(trainer.discriminator(x), x).item()
    assert bare["r1"] != pytest.approx(bare["r2"], rel=1e-3)
    for step, factor in ((0, 1.0), (1, 0.5)):
        value, logged = penalty_of(trainer, real, fake, Progress(step, 2))
        assert value.item() == pytest.approx(factor * (3 * bare["r1"] + 5 * bare["r2"]), rel=1e-5)
        assert {k: v.item() for k, v in logged.items()} == pytest.approx(
            {f"loss/{k}": v for k, v in bare.items()}, rel=1e-5
        )


RATE, STEPS, START = 0.1, 1_000, math.hypot(0.5, 1.0)
OUTWARD = START * math.hypot(1, RATE) ** STEPS


@pytest.mark.parametrize(
    ("loss", "r1", "r2", "least", "most"),
    [
        ("wasserstein", 0.0, 0.0, OUTWARD * 0.999, OUTWARD * 1.001),  # a step goes at right angles to (a, g)
        ("hinge", 0.0, 0.0, START, math.inf),
        ("relativistic", 0.0, 0.0, 0.1, START),  # slower than any exponential
        ("wasserstein", 1.0, 0.0, 0, 1e-6),
        ("hinge", 1.0, 1.0, 0, 1e-6),
        ("relativistic", 0.0, 1.0, 0, 1e-6),
        ("relativistic", 1.0, 1.0, 0, 1e-5),
    ],
)
def test_the_dirac_gan_converges_with_either_penalty(registry, loss, r1, r2, least, most):
    """Of one real point 0 and one generated point g, with d(x) = a x (Mescheder et al. 2018, section 2).

    Simultaneous gradient steps circle around (a, g) = (0, 0). With R1 or R2, here a^2 / 2 each, they arrive.
    """
    adversarial = make(registry, "gan_loss", loss).build()
    a, g = (torch.full((1, 1), value, dtype=torch.double, requires_grad=True) for value in (0.5, 1.0))
    for _ in range(STEPS):
        real, fake = torch.zeros_like(g).requires_grad_(), g.detach().requires_grad_()
        of_real, of_fake = a * real, a * fake
        penalty = r1 * zero_centered(of_real, real) + r2 * zero_centered(of_fake, fake)
        of_d = torch.autograd.grad(adversarial.discriminator(of_real, of_fake) + penalty, a)[0]
        of_g = torch.autograd.grad(adversarial.generator(a.detach() * g, (a * real).detach), g)[0]
        with torch.no_grad():
            a -= RATE * of_d
            g -= RATE * of_g
    assert least <= math.hypot(a.item(), g.item()) <= most
