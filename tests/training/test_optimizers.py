"""Optimizers of torch, of strangers and of one's own functions train, change their rates and resume."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import lion_pytorch
import pytest
import schedulefree
import torch
from torch import nn

import pluglab
from pluglab.components import config_class
from pluglab.engine.untouched import evaluating
from pluglab.errors import UserError
from pluglab.recipe.resolve import make
from pluglab.training import modules_of, scale_lr
from pluglab.training.trainer import plain_optimizer
from tests.core.support import last_state, same
from tests.registries import registry_of

from .conftest import OPTIMIZERS, tensors, train

SHIPPED = registry_of().names("optimizer")
STATEFUL = ["lion", "schedule_free", "made_lion", "made_schedule_free"]


def weights(trainer):
    return tensors({name: dict(net.named_parameters()) for name, net in modules_of(trainer).items()})


def gradients_of(trainer):
    modules = modules_of(trainer).items()
    return tensors({name: {k: p.grad for k, p in net.named_parameters()} for name, net in modules})


@pytest.mark.parametrize("optimizer", [*SHIPPED, *OPTIMIZERS])
@pytest.mark.parametrize("method", ["dann", "ddpm"])
def test_every_optimizer_trains(build, method, optimizer):
    """Every weight moves that has a gradient: a denoiser begins with zeros, behind which there is none."""
    still = {"name": "plain_sgd", "lr": 1e-20}
    trainer, twin = build(method, optimizer=optimizer), build(method, optimizer=still)
    before = weights(trainer)
    scalars = train(trainer, 0, 1)
    train(twin, 0, 1)
    after, gradients = weights(trainer), gradients_of(twin)
    assert all(value.isfinite() for value in scalars.values())
    assert all(value.isfinite().all() for value in after.values())
    due = [name for name, gradient in gradients.items() if gradient.abs().max() > 1e-3]
    assert due and [name for name in due if torch.equal(before[name], after[name])] == []
    train(trainer, 1, 3)


def test_shipped_optimizers_are_torchs_own(registry):
    classes = {
        name: type(make(registry, "optimizer", name).build([nn.Parameter(torch.ones(1))])) for name in SHIPPED
    }
    assert classes["adamw"] is torch.optim.AdamW and classes["sgd"] is torch.optim.SGD
    assert {found.__name__.lower() for found in classes.values()} == set(SHIPPED)


# Of strangers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "kind", "groups"),
    [
        ("lion", {"lr": 3e-4, "betas": (0.8, 0.9)}, lion_pytorch.Lion, {"lr": 3e-4, "betas": (0.8, 0.9)}),
        ("made_lion", {"lr": 3e-4}, lion_pytorch.Lion, {"lr": 3e-4, "weight_decay": 10 * 3e-4}),
        (
            "schedule_free",
            {"lr": 0.01, "warmup_steps": 7},
            schedulefree.AdamWScheduleFree,
            {"lr": 0.01, "warmup_steps": 7},
        ),
        (
            "made_schedule_free",
            {"warmup": 5},
            schedulefree.AdamWScheduleFree,
            {"lr": 0.002, "warmup_steps": 5},
        ),
    ],
)
def test_options_of_the_signature_arrive(registry, name, options, kind, groups):
    optimizer = make(registry, "optimizer", name, **options).build([nn.Parameter(torch.ones(2))])
    assert type(optimizer) is kind
    assert {key: optimizer.param_groups[0][key] for key in groups} == groups
    fields = config_class(registry.find("optimizer", name)).model_fields
    assert not {"params", "parameters", "foreach"} & fields.keys()


@pytest.mark.parametrize(
    ("options", "words"),
    [({"lr": -1.0}, "lr"), ({"lr": "fast"}, "lr"), ({"momentum": 0.9}, "unknown option 'momentum'")],
)
@pytest.mark.parametrize("name", ["lion", "made_lion"])
def test_wrong_options_are_told_by_name(registry, name, options, words):
    with pytest.raises(UserError, match=words):
        make(registry, "optimizer", name, **options)


def test_lion_steps_by_the_sign_of_what_it_is_given(build):
    """Its first step is lr times the sign of the gradient, so that no weight moves further."""
    trainer = build("dann", optimizer={"name": "lion", "lr": 1e-3})
    before = weights(trainer)
    train(trainer, 0, 1)
    moved = torch.cat([(after - before[name]).abs().flatten() for name, after in weights(trainer).items()])
    assert ((moved < 1e-6) | ((moved - 1e-3).abs() < 1e-6)).all() and (moved > 5e-4).float().mean() > 0.5


# Modes -------------------------------------------------------------------------------------------------


def test_schedule_free_trains_in_its_training_mode_and_is_looked_at_in_the_other(build):
    trainer = build("dann", optimizer={"name": "schedule_free", "lr": 0.01})
    optimizer = plain_optimizer(trainer.optimizer)
    train(trainer, 0, 3)
    (group,) = optimizer.param_groups
    beta, moving = group["betas"][0], weights(trainer)
    assert group["train_mode"]
    with evaluating(trainer, 0):
        assert not group["train_mode"]
        averaged = weights(trainer)
        for parameter in group["params"]:  # y = (1 - beta) z + beta x
            y = (1 - beta) * optimizer.state[parameter]["z"] + beta * parameter
            assert any(torch.allclose(y, one, atol=1e-6) for one in moving.values() if one.shape == y.shape)
    assert any(not torch.allclose(averaged[name], moving[name]) for name in moving)
    assert group["train_mode"]
    for name, value in weights(trainer).items():
        torch.testing.assert_close(value, moving[name], atol=1e-6, rtol=1e-5)
    train(trainer, 3, 4)


# Rates -------------------------------------------------------------------------------------------------


def test_rates_of_a_bare_optimizer_follow_their_multiplier_group_by_group():
    first, second = (nn.Parameter(torch.ones(1)) for _ in range(2))
    groups: list[dict[str, Any]] = [{"params": [first], "lr": 0.4}, {"params": [second]}]
    optimizer = torch.optim.SGD(map(dict, groups), lr=0.1)
    for multiplier in (0.5, 0.0, 0.25, 1.0):  # each of the rate that it was made with, not of the last
        scale_lr(optimizer, multiplier)
        assert [group["lr"] for group in optimizer.param_groups] == [0.4 * multiplier, 0.1 * multiplier]
    resumed = torch.optim.SGD(map(dict, groups), lr=0.1)
    scale_lr(optimizer, 0.5)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    scale_lr(resumed, 0.1)
    assert [group["lr"] for group in resumed.param_groups] == pytest.approx([0.04, 0.01])


def test_a_bare_sgd_steps_down_the_gradient_at_the_rate_of_the_schedule(build):
    plain = {"name": "plain_sgd", "lr": 0.2}
    trainer = build("dann", optimizer=plain, schedule={"name": "step_decay", "factor": 0.5, "every": 0.5})
    train(trainer, 0, 1, total=4)
    for step, lr in ((1, 0.2), (2, 0.1), (3, 0.1)):
        before = [p.detach().clone() for p in trainer.optimizer.param_groups[0]["params"]]
        train(trainer, step, step + 1, total=4)
        assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(lr)
        for old, p in zip(before, trainer.optimizer.param_groups[0]["params"], strict=True):
            torch.testing.assert_close(p.detach(), old - lr * p.grad)


# Resuming ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [*SHIPPED, *OPTIMIZERS])
def test_a_resumed_training_ends_with_the_same_bits(build, optimizer):
    options = {"optimizer": optimizer, "schedule": "one_cycle"}
    straight = build("dann", **options)
    train(straight, 0, 5)
    first, second = build("dann", **options), build("dann", seed=1, **options)
    train(first, 0, 2)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    train(second, 2, 5)
    assert same(straight.state_dict(), second.state_dict())


PLUGIN = """
import torch
from pluglab import Evaluation

class Modes:
    needs = ()
    def check(self, trainer, data):
        return {"weights": ()}
    def evaluate(self, trainer, data, context):
        modes = {group.get("train_mode", False) for group in trainer.optimizer.param_groups}
        assert modes == {False}, "looked at while training"
        return Evaluation({"weights": float(sum(p.double().sum() for p in trainer.features.parameters()))})

def lab_register(registry):
    registry.add("optimizer", "lion", "lion_pytorch:Lion")
    registry.add("optimizer", "schedule_free", "schedulefree:AdamWScheduleFree")
    registry.add("optimizer", "made_lion", "tests.training.optimizers:lion")
    registry.add("optimizer", "made_schedule_free", "tests.training.optimizers:schedule_free")
    registry.add("evaluator", "modes", Modes)
"""

RECIPE = """
steps = 8
batch_size = 8
checkpoint_every = 3
[trainer]
name = "source_only"
encoder = "dsn_paper"
optimizer = "OPTIMIZER"
[data]
source = { name = "digits", size = 16 }
[[evaluate]]
name = "modes"
every = 2
[run]
threads = 1
precision = "32"
"""


@pytest.mark.parametrize("optimizer", STATEFUL)
def test_an_interrupted_run_ends_with_the_same_bits_and_is_loaded_as_it_was_looked_at(
    whole_and_resumed, optimizer
):
    Path("strangers.py").write_text(PLUGIN)
    recipe = RECIPE.replace("OPTIMIZER", optimizer)
    whole, resumed = whole_and_resumed(recipe, 4, "--plugin", "strangers.py")
    assert same(last_state(whole)["trainer"], last_state(resumed)["trainer"])
    scores = [json.loads((run / "results.json").read_text())["scalars"] for run in (whole, resumed)]
    assert scores[0] == scores[1]
    loaded = pluglab.load(resumed, trust=True).trainer
    total = float(sum(p.double().sum() for p in loaded.features.parameters()))
    assert total == pytest.approx(scores[0]["weights"], rel=1e-9)
