"""fp16 with scaled losses: gradients are finite, and those of float32 up to its rounding."""

from __future__ import annotations

import math

import pytest
import torch

from pluglab.errors import UserError
from pluglab.training import modules_of
from tests.core.support import last_state, same

from .conftest import train, train_in_parts

STILL = {"name": "plain_sgd", "lr": 1e-20}
BOTH = {"generator_optimizer": STILL, "discriminator_optimizer": STILL}
PENALIZED = {"r1": 1.0, "batch_norm": False}
CASES = [
    ("dann", {"optimizer": STILL}, {}),
    ("ddpm", {"optimizer": STILL}, {}),
    ("dcgan", BOTH, {}),
    ("dcgan", BOTH, PENALIZED),
    ("dcgan", BOTH, {"gradient_penalty": 10.0, "batch_norm": False}),
    ("sngan", BOTH, {"r1": 10.0}),
]
NAMES = [" ".join([method, *options]) for method, _, options in CASES]


def with_scale(trainer, scale):
    """The trainer, its losses scaled by so much at first."""
    settings = {"growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2000, "_growth_tracker": 0}
    trainer.fabric.scaler.load_state_dict({"scale": scale, **settings})
    return trainer


def gradients(trainer):
    """All gradients of each network in a row."""
    found = {}
    for name, network in modules_of(trainer).items():
        rows = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
        found[name] = torch.cat(rows)
    return found


@pytest.mark.parametrize(("method", "optimizers", "options"), CASES, ids=NAMES)
def test_gradients_in_fp16_are_those_of_float32(build, method, optimizers, options):
    """After a step the optimizer has them without the scale."""
    trainers = {
        precision: build(method, precision=precision, **optimizers, **options) for precision in ("32", "fp16")
    }
    with_scale(trainers["fp16"], 1024.0)
    logs = {precision: train(trainer, 0, 1) for precision, trainer in trainers.items()}
    for name, value in logs["32"].items():
        torch.testing.assert_close(logs["fp16"][name], value, rtol=0.05, atol=0.01)
        assert value.dtype == logs["fp16"][name].dtype == torch.float32
    expected, found = gradients(trainers["32"]), gradients(trainers["fp16"])
    for name, gradient in expected.items():
        assert found[name].isfinite().all() and found[name].dtype == torch.float32
        assert (found[name] - gradient).norm() < 0.06 * gradient.norm(), name


@pytest.mark.parametrize("scale", [1.0, 65536.0])
@pytest.mark.parametrize(("method", "optimizers", "options"), CASES, ids=NAMES)
def test_what_is_logged_does_not_depend_on_the_scale(build, method, optimizers, options, scale):
    """A step that is left out because the scale was too large must not end the run by an infinite scalar."""
    usual, other = (build(method, precision="fp16", **optimizers, **options) for _ in range(2))
    logs = [train(with_scale(trainer, start), 0, 1) for trainer, start in ((usual, 1024.0), (other, scale))]
    for name, value in logs[0].items():
        assert value.isfinite()
        torch.testing.assert_close(logs[1][name], value, rtol=0.02, atol=1e-3)


@pytest.mark.parametrize(
    ("method", "options"), [("dann", {}), ("ddpm", {}), ("dcgan", PENALIZED), ("sngan", {"r1": 10.0})]
)
def test_some_steps_train_every_network(build, method, options):
    trainer = build(method, precision="fp16", **options)
    networks = modules_of(trainer).items()
    before = {name: [p.detach().clone() for p in network.parameters()] for name, network in networks}
    first = train(trainer, 0, 1)
    last = train(trainer, 1, 10)
    assert all(value.isfinite() for value in (*first.values(), *last.values()))
    for name, network in networks:
        moved = [not torch.equal(a, b) for a, b in zip(before[name], network.parameters(), strict=True)]
        assert sum(moved) > len(moved) / 2
        assert all(p.isfinite().all() and p.dtype == torch.float32 for p in network.parameters())
    assert trainer.fabric.scaler.get_scale() >= 1024


def test_a_step_whose_gradients_are_infinite_is_left_out_and_the_scale_halved(build):
    trainer = with_scale(build("dann", precision="fp16"), 2.0**40)
    before = [p.detach().clone() for p in trainer.features.parameters()]
    train(trainer, 0, 1)
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.features.parameters(), strict=True))
    assert trainer.fabric.scaler.get_scale() == 2.0**39


@pytest.mark.parametrize("precision", ["32", "fp16"])
def test_the_norm_that_clipping_sees_is_without_the_scale(build, precision):
    trainer = build("dann", precision=precision, optimizer=STILL)
    norms = []
    clip = trainer.clip_gradients
    trainer.clip_gradients = lambda optimizer, most: (clip(optimizer, most), norms.append(norm_of(optimizer)))
    train_in_parts(trainer, 1, max_grad_norm=1e-3)
    assert norms == [pytest.approx(1e-3, rel=1e-3)]


def norm_of(optimizer):
    squares = [p.grad.square().sum().item() for group in optimizer.param_groups for p in group["params"]]
    return math.sqrt(sum(squares))


RECIPE = """
steps = 6
batch_size = 8
log_every = 1
checkpoint_every = 5
gradient_accumulation_steps = 2
max_grad_norm = 0.5
[trainer]
name = "sngan"
width = 8
r1 = 10.0
[data]
train = { name = "digits", size = 16 }
[run]
threads = 1
precision = "fp16"
"""


def test_a_run_in_fp16_ends_and_resumes_with_the_same_bits_the_scale_included(whole_and_resumed):
    whole, resumed = map(last_state, whole_and_resumed(RECIPE, 3))
    assert same(whole["trainer"], resumed["trainer"]) and same(whole["random"], resumed["random"])
    assert whole["scaler"] == resumed["scaler"] and whole["scaler"]["scale"] >= 1024


@pytest.mark.parametrize("penalty", [{"r1": 1.0}, {"gradient_penalty": 10.0}])
def test_what_fp16_has_no_room_for_is_refused_with_the_way_out(build, penalty):
    with pytest.raises(UserError, match="batch norm cannot be penalized in fp16") as told:
        build("dcgan", precision="fp16", **penalty)
    assert "run.precision" in told.value.help[0]
    for precision in ("32", "bf16"):
        logs = train(build("dcgan", precision=precision, **penalty), 0, 1)
        assert all(value.isfinite() for value in logs.values())
