"""A training goes on from an evaluation as if there had been none, whatever the evaluator does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.runs import events, facts, lab, made, results, saved_steps, state, write
from tests.core.support import same

EVALUATORS = '''
import copy
import random

import numpy as np
import torch
from pluglab import Evaluation, Options, Role, TrainerBase


def first(network):
    return next(network.parameters())

def weights(trainer):
    first(trainer.body).mul_(2)

def weights_past_autograd(trainer):
    first(trainer.body).data[0, 0] += 1

def weights_by_numpy(trainer):
    first(trainer.head).detach().numpy()[:] *= -1

def order_of_weights(trainer):
    weight = first(trainer.body).data
    weight.copy_(weight.flip(0))

def statistics(trainer):
    trainer.body.train()
    trainer.body(torch.randn(8, 1, 4, 4))

def the_average(trainer):
    trainer.average.network[1].weight.zero_()

def the_rate(trainer):
    trainer.optimizer.param_groups[0]["lr"] /= 2

def moments(trainer):
    next(iter(trainer.optimizer.state.values()))["exp_avg"].neg_()

def dtype(trainer):
    trainer.body.half()

def the_network(trainer):
    trainer.body = copy.deepcopy(trainer.body)

def modes(trainer):
    trainer.body.train()
    trainer.head.module[0].train()
    trainer.average.network.train()

def gradients(trainer):
    with torch.enable_grad():
        trainer.predict(torch.ones(4, 1, 4, 4), "train").sum().backward()
    first(trainer.body).requires_grad_(False)

def random_numbers(trainer):
    random.random(), np.random.rand(), torch.rand(3)

def a_perturbation_taken_back(trainer):
    weight, before = first(trainer.body), first(trainer.body).clone()
    weight.add_(torch.randn_like(weight))
    weight.copy_(before)


class Vandal:
    class Config(Options):
        does: str
        """What it does to the trainer."""

    needs = ()

    def __init__(self, config):
        self.config = config

    def evaluate(self, trainer, data, context):
        globals()[self.config.does](trainer)
        return Evaluation({"drawn": random.random() + np.random.rand() + torch.rand(1).item()})


class Scribbler:
    """Writes into all that it is handed of the data."""

    needs = ()

    def evaluate(self, trainer, data, context):
        for split in ("train", "test"):
            part = data["train"][split]
            part.labels.fill_(1)
            part.raw().fill_(7)
            for images in part.batches(8):
                images.fill_(0.5)
        return Evaluation({"ones": float(data["train"]["train"].labels.float().mean())})


class Broken(TrainerBase):
    """Its weights are NaN after the fifth step, whose loss was fine."""

    roles = (Role("train"),)

    def __init__(self, config, data):
        self.net = torch.nn.Linear(1, 1)

    def step(self, batch, progress):
        if progress.step == 4:
            self.net.bias.data.fill_(float("nan"))
        return {"loss": torch.ones(())}


def lab_register(registry):
    registry.add("trainer", "broken", Broken)
    registry.add("evaluator", "vandal", Vandal)
    registry.add("evaluator", "scribbler", Scribbler)
    registry.add("optimizer", "schedule_free", "schedulefree:AdamWScheduleFree")
'''
CHANGES = [
    *("weights", "weights_past_autograd", "weights_by_numpy", "order_of_weights", "statistics"),
    *("the_average", "the_rate", "moments", "dtype", "the_network"),
]
HARMLESS = ["modes", "gradients", "random_numbers", "a_perturbation_taken_back"]


def words(evaluate: str, *sets: str) -> list[object]:
    """The command of a run with these evaluators."""
    Path("evaluators.py").write_text(EVALUATORS)
    changes = [word for one in (f"evaluate=[{evaluate}]", *sets) for word in ("--set", one)]
    return ["run", write(), *changes, "--plugin", "evaluators.py"]


def run(evaluate: str, *sets: str, code: int = 0) -> Path:
    return made(*words(evaluate, *sets), code=code)


def vandal(does: str) -> str:
    return f"{{ name = 'vandal', does = '{does}', every = 4 }}"


@pytest.mark.parametrize("does", CHANGES)
def test_an_evaluator_that_changes_the_trainer_is_named(
    does: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab(*words(vandal(does))) != 0
    told = capsys.readouterr().err
    assert "Vandal.evaluate changes the trainer: '" in told
    line = EVALUATORS[: EVALUATORS.index("def evaluate")].count("\n") + 1
    assert f"evaluators.py:{line}" in told


@pytest.mark.parametrize("does", HARMLESS)
def test_what_can_be_put_back_is(does: str) -> None:
    alone, looked_at = run(""), run(vandal(does))
    one, other = state(alone), state(looked_at)
    assert same(one["trainer"], other["trainer"]) and same(one["random"], other["random"])
    looks = [event["scalars"]["drawn"] for event in events(looked_at, "evaluation")]
    assert looks == [looks[0]] * 3, "its random numbers are a function of the seed"


def test_what_is_written_into_images_and_labels_reaches_nobody() -> None:
    alone, written = run(""), run("{ name = 'scribbler', every = 1 }")
    assert same(state(alone)["trainer"], state(written)["trainer"])
    assert results(written)["scalars"] == {"ones": 0.5}


def test_weights_that_an_optimizer_swaps_come_back_to_the_last_bit() -> None:
    """Schedule-free optimizers go from the weights of the gradient to the average and back by rounding."""
    pytest.importorskip("schedulefree")
    free = "trainer.optimizer={ name = 'schedule_free', lr = 0.01 }"
    alone, looked_at = run("", free), run("{ name = 'certain', every = 1 }", free)
    assert len(events(looked_at, "evaluation")) == 12
    assert same(state(alone)["trainer"], state(looked_at)["trainer"])


def test_no_evaluator_sees_a_model_that_has_gone_wrong() -> None:
    """Its loss became infinite between two logs."""
    gone = made(
        *("run", write(), "--set", "trainer.breaks_at=5", "--set", "trainer.optimizer.lr=0.2"),
        *(
            "--set",
            "log_every=12",
            "--set",
            "checkpoint_every=12",
            "--set",
            "evaluate=[{name='certain',every=2}]",
        ),
        code=1,
    )
    assert [event["step"] for event in events(gone, "evaluation")] == [2, 4]
    assert "at or before step 6" in facts(gone)["error"]


@pytest.mark.parametrize("periods", [("checkpoint_every=1", 100), ("checkpoint_every=100", 1)])
def test_weights_that_are_not_finite_are_neither_saved_nor_looked_at(periods: tuple[str, int]) -> None:
    saving, looking = periods
    broken = run(f"{{ name = 'scribbler', every = {looking} }}", "trainer='broken'", saving, code=1)
    assert facts(broken)["error"] == "'the weights of net' became NaN or infinite at or before step 5"
    assert all(step < 5 for step in saved_steps(broken))
    assert all(event["step"] < 5 for event in events(broken, "evaluation"))
