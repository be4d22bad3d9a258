from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pluglab.protocols import Progress
from pluglab.recipe.resolve import make
from pluglab.training import modules_of
from pluglab_domain_adaptation.target_losses import PseudoLabels, Unlabeled

from .conftest import train

NAMES = ["entropy", "information_maximization", "pseudo_labels", "nuclear_norm", "class_confusion"]


@pytest.fixture
def loss(registry):
    def build(name: str, **options):
        built = make(registry, "target_loss", name, **options).build()
        return lambda z: built(Unlabeled(torch.zeros(len(z), 3, 8, 8), z, lambda x: z))

    return build


def logits(n: int = 12, k: int = 4) -> torch.Tensor:
    return torch.randn(n, k, generator=torch.Generator().manual_seed(3), dtype=torch.double) * 2


def probabilities() -> np.ndarray:
    z = np.exp(logits().numpy())
    return z / z.sum(1, keepdims=True)


def test_entropy_is_log_k_where_nothing_is_known_and_zero_where_all_is(loss):
    assert math.isclose(loss("entropy")(torch.zeros(5, 4)).item(), math.log(4), rel_tol=1e-6)
    assert loss("entropy")(torch.eye(4) * 100).item() < 1e-6
    p = probabilities()
    expected = -(p * np.log(p)).sum(1).mean()
    assert math.isclose(loss("entropy")(logits()).item(), expected, rel_tol=1e-5)


def test_information_maximization_is_minus_the_mutual_information(loss):
    p = probabilities()
    mean = p.mean(0)
    conditional, marginal = -(p * np.log(p)).sum(1).mean(), -(mean * np.log(mean)).sum()
    found = loss("information_maximization")(logits()).item()
    assert math.isclose(found, conditional - marginal, rel_tol=1e-5)
    found = loss("information_maximization", diversity=0.0)(logits()).item()
    assert math.isclose(found, conditional, rel_tol=1e-5)
    sure_and_even = torch.eye(4).repeat(3, 1) * 100
    assert math.isclose(loss("information_maximization")(sure_and_even).item(), -math.log(4), rel_tol=1e-5)


def test_pseudo_labels_count_sure_predictions_only_and_divide_by_all(loss):
    p = torch.tensor([[0.98, 0.02], [0.6, 0.4], [0.03, 0.97], [0.5, 0.5]])
    expected = -(math.log(0.98) + math.log(0.97)) / 4
    assert math.isclose(loss("pseudo_labels")(p.log()).item(), expected, rel_tol=1e-5)
    all_of_them = -(math.log(0.98) + math.log(0.6) + math.log(0.97) + math.log(0.5)) / 4
    assert math.isclose(loss("pseudo_labels", threshold=0.0)(p.log()).item(), all_of_them, rel_tol=1e-5)


def test_nuclear_norm_is_the_sum_of_singular_values(loss):
    expected = -np.linalg.norm(probabilities(), "nuc") / 12
    assert math.isclose(loss("nuclear_norm")(logits()).item(), expected, rel_tol=1e-5)
    # n sure predictions spread evenly over k classes: k singular values of sqrt(n / k)
    even = torch.eye(4).repeat(3, 1) * 100
    assert math.isclose(loss("nuclear_norm")(even).item(), -math.sqrt(4 * 12) / 12, rel_tol=1e-5)


def test_class_confusion_follows_the_paper_step_by_step(loss):
    t, z = 2.5, logits().numpy()
    y = np.exp(z / t) / np.exp(z / t).sum(1, keepdims=True)
    h = -(y * np.log(y)).sum(1)
    w = len(y) * (1 + np.exp(-h)) / (1 + np.exp(-h)).sum()
    c = np.array([[(y[:, i] * w * y[:, j]).sum() for j in range(4)] for i in range(4)])
    c = c / c.sum(1, keepdims=True)
    expected = (c.sum() - np.trace(c)) / 4
    assert math.isclose(loss("class_confusion")(logits()).item(), expected, rel_tol=1e-5)
    assert loss("class_confusion")(torch.eye(4) * 1000).item() < 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_finite_differences(loss, name):
    z = (logits(6, 3) * 0.7).requires_grad_()
    value = loss(name, **({"threshold": 0.0} if name == "pseudo_labels" else {}))(z)
    (grad,) = torch.autograd.grad(value, z)
    assert grad.isfinite().all() and grad.abs().sum() > 0
    if name in ("entropy", "information_maximization", "nuclear_norm"):
        step = 1e-2 * grad / grad.norm()
        change = loss(name)((z + step).detach()) - loss(name)((z - step).detach())
        assert math.isclose(change.item(), 2e-2 * grad.norm().item(), rel_tol=1e-2)


def reference(name: str, z: torch.Tensor) -> torch.Tensor:
    """The formulas as they are printed, in float64, which holds exp(-700)."""
    p = z.softmax(1)
    log_p = p.clamp(min=1e-320).log()
    h, mean = -(p * log_p).sum(1), p.mean(0)
    if name == "entropy":
        return h.mean()
    if name == "information_maximization":
        return h.mean() + (mean * mean.clamp(min=1e-320).log()).sum()
    if name == "pseudo_labels":
        return (-log_p.max(1).values * (p.max(1).values >= 0.95)).mean()
    if name == "nuclear_norm":
        return -torch.linalg.svdvals(p).sum() / len(z)
    y = (z / 2.5).softmax(1)
    w = (1 + torch.exp((y * y.clamp(min=1e-320).log()).sum(1))).detach()
    c = (y * w[:, None]).T @ y
    c = c / c.sum(1, keepdim=True)
    return (c.sum() - c.trace()) / z.shape[1]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("gap", [0.0, 50.0, 104.0, 255.0, 600.0])
def test_values_and_gradients_hold_where_a_class_has_no_probability(loss, name, dtype, gap):
    """A class far behind in every image of the batch: gradients were NaN from 104 and from 255 logits."""
    z = torch.randn(8, 10, generator=torch.Generator().manual_seed(0))
    z = torch.cat([z[:, :9], z[:, 9:] - gap], dim=1).to(dtype)
    taken, exact = z.clone().requires_grad_(), z.double().requires_grad_()
    value, expected = loss(name)(taken), reference(name, exact)
    value.backward(), expected.backward()
    torch.testing.assert_close(value.double(), expected, rtol=1e-4, atol=1e-5)
    assert taken.grad.isfinite().all()
    rough = 1e-2 if dtype == torch.bfloat16 else 1e-4
    torch.testing.assert_close(taken.grad.double(), exact.grad, rtol=rough, atol=rough * 1e-1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [1e4, 1e9, 1e30])
def test_gradients_of_logits_of_any_size_are_finite(loss, name, scale):
    z = (torch.randn(8, 10, generator=torch.Generator().manual_seed(1)) * scale).requires_grad_()
    loss(name)(z).backward()
    assert z.grad.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_losses_are_float32_also_under_autocast(loss, name):
    z = torch.randn(8, 10, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(name)(z.bfloat16())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, loss(name)(z.bfloat16().float()), rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize("method", ["dann", "dsn", "adda"])
def test_images_changed_for_pseudo_labels_leave_no_trace_in_the_running_statistics(build, method):
    """These are of images as they are predicted. The loss itself has no weight here."""
    found = []
    for losses in ([], [{"name": "pseudo_labels", "weight": 0.0}]):
        trainer = build(method, target_losses=losses, encoder="dann_i")
        for _, one in trainer.target_losses:
            one.transforms = [Darker()]
        train(trainer, 1, 2, total=2)
        buffers = {k: v for name, net in modules_of(trainer).items() for k, v in net.named_buffers(name)}
        found.append(buffers)
    assert any("target.running_mean" in name for name in found[0])
    for name, expected in found[0].items():
        assert torch.equal(expected, found[1][name]), name


@pytest.mark.parametrize("method", ["dann", "dsn", "adda"])
def test_every_adaptive_method_takes_several_and_logs_each(build, method):
    losses = [{"name": name, "weight": 0.2, "ramp": "constant"} for name in NAMES]
    trainer = build(method, target_losses=losses)
    figures = train(trainer, 0, 4, total=4)
    assert {f"loss/{name}" for name in NAMES} <= set(figures)
    images, z = torch.zeros(4, 3, 16, 16), torch.zeros(4, 10)
    total, _ = trainer.target_loss(images, z, Progress(0, 10))
    bare = sum(loss(Unlabeled(images, z, lambda x: z)) for _, loss in trainer.target_losses)
    torch.testing.assert_close(total, 0.2 * bare)


def test_the_ramp_keeps_a_target_loss_out_at_the_start(build):
    trainer = build("dann", target_losses=["entropy"])
    images, z = torch.zeros(4, 3, 16, 16), torch.zeros(4, 10)
    assert trainer.target_loss(images, z, Progress(0, 10))[0] == 0
    total, _ = trainer.target_loss(images, z, Progress(9, 10))
    ramp = 2 / (1 + math.exp(-9)) - 1
    assert math.isclose(total.item(), 0.1 * ramp * math.log(10), rel_tol=1e-5)


class Darker:
    random = True

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return images - torch.rand(len(images), 1, 1, 1, generator=generator)


def test_pseudo_labels_of_an_image_are_asked_for_on_its_changed_self(registry):
    """The label comes from the logits as given, without a gradient; the prediction from the changed image."""
    loss = make(registry, "target_loss", "pseudo_labels", threshold=0.0).build()
    assert isinstance(loss, PseudoLabels)
    loss.transforms = [Darker()]
    given = torch.tensor([[4.0, 0.0], [0.0, 4.0]], requires_grad=True)
    seen = torch.tensor([[1.0, 0.0], [3.0, 0.0]], requires_grad=True)
    asked = []
    value = loss(Unlabeled(torch.zeros(2, 3, 8, 8), given, lambda x: (asked.append(x), seen)[1]))
    expected = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(3))) / 2
    assert math.isclose(value.item(), expected, rel_tol=1e-6)
    assert torch.autograd.grad(value, given, allow_unused=True)[0] is None
    assert (asked[0] < 0).all()


def test_changes_of_an_image_follow_the_random_state_so_that_a_resume_repeats_them(registry):
    loss = make(registry, "target_loss", "pseudo_labels").build()
    loss.transforms = [Darker()]
    images, found = torch.zeros(3, 3, 8, 8), []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append(loss.changed(images))
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])
