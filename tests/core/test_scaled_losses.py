"""fp16: within a batch the scale of losses is one, whatever steps; one that has fallen too far is told."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pluglab.engine.hardware import Hardware, LabFabric
from tests.core.runs import events, facts, lab, made, state, write
from tests.core.support import same

TRAINERS = '''
import torch
from torch import nn, optim

from pluglab import Role, TrainerBase


class Two(TrainerBase):
    """Two networks that each learn on their own, the second with gradients of both parts of a batch."""

    roles = (Role("train", labels="required"),)

    def __init__(self, config, data):
        self.first, self.second = (nn.Sequential(nn.Flatten(), nn.Linear(16, 2)) for _ in range(2))
        self.one = optim.SGD(self.first.parameters(), lr=0.1)
        self.other = optim.SGD(self.second.parameters(), lr=0.1)

    def step(self, batch, progress):
        part, logs = batch["train"], {}
        for name, optimizer in (("first", self.one), ("second", self.other)):
            loss = nn.functional.cross_entropy(getattr(self, name)(part.images), part.labels)
            self.update(optimizer, loss)
            logs[name] = loss.detach()
        return logs


class ByHand(Two):
    """Takes the gradients of both before it steps either; the first network steps three times."""

    def step(self, batch, progress):
        part = batch["train"]
        loss = nn.functional.cross_entropy(self.second(part.images), part.labels)
        self.other.zero_grad()
        self.fabric.backward(loss)
        for _ in range(3):
            self.update(self.one, nn.functional.cross_entropy(self.first(part.images), part.labels))
        self.other.step()
        return {"loss": loss.detach()}


class Overflowing(Two):
    """Its gradients are never finite."""

    def step(self, batch, progress):
        loss = self.first(batch["train"].images).sum()
        self.update(self.one, loss * float("inf"))
        return {"loss": loss.detach()}


class Careless(Two):
    """Knows nothing of parts of a batch."""

    def step(self, batch, progress):
        loss = self.first(batch["train"].images).sum()
        self.one.zero_grad()
        self.fabric.backward(loss)
        self.one.step()
        return {"loss": loss.detach()}


class Idle(Two):
    """Steps nothing."""

    def step(self, batch, progress):
        return {"loss": torch.zeros(())}


def lab_register(registry):
    for trainer in (Two, ByHand, Overflowing, Careless, Idle):
        registry.add("trainer", trainer.__name__.lower(), trainer)
'''


@pytest.fixture
def growing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scale doubles whenever it is updated, unless a step was left out."""
    scaler = partial(torch.amp.GradScaler, init_scale=16.0, growth_interval=1)
    monkeypatch.setattr(torch.amp, "GradScaler", scaler)


def words(trainer: str, *sets: str, precision: str = "fp16") -> list[object]:
    """The command of a run of one of the trainers above."""
    Path("trainers.py").write_text(TRAINERS)
    asked = (f"trainer='{trainer}'", "evaluate=[]", f"run.precision='{precision}'", *sets)
    return ["run", write(), *(word for one in asked for word in ("--set", one)), "--plugin", "trainers.py"]


def run(trainer: str, *sets: str, precision: str = "fp16") -> Path:
    return made(*words(trainer, *sets, precision=precision))


def assert_close(half: Path, full: Path) -> None:
    """The weights of two runs, up to the rounding of fp16."""
    one, other = state(half)["trainer"], state(full)["trainer"]
    for network in ("first", "second"):
        for name, value in other[network].items():
            torch.testing.assert_close(one[network][name], value, rtol=5e-3, atol=1e-3)


@pytest.mark.usefixtures("growing")
@pytest.mark.parametrize("trainer", ["two", "byhand"])
@pytest.mark.parametrize("clip", [[], ["max_grad_norm=0.5"]])
def test_every_gradient_is_unscaled_by_the_scale_that_it_was_taken_under(
    trainer: str, clip: list[str]
) -> None:
    """What two optimizers learn is what they learn in float32, in one part and in two."""
    parts = ["gradient_accumulation_steps=2", *clip] if trainer == "two" else clip
    assert_close(run(trainer, *parts), run(trainer, *parts, precision="32"))


@pytest.mark.usefixtures("growing")
def test_the_scale_is_updated_once_a_batch() -> None:
    for trainer in ("two", "byhand"):
        half = run(trainer, "steps=5", "checkpoint_every=1")
        assert state(half, 5)["scaler"]["scale"] == 16.0 * 2**5
    assert state(run("two", "steps=5", "gradient_accumulation_steps=2"))["scaler"]["scale"] == 16.0 * 2**5
    run("idle", "steps=5")


@pytest.mark.usefixtures("growing")
def test_the_scale_of_a_run_does_not_depend_on_the_run_before_it_in_the_process() -> None:
    both, alone = run("two", "seeds=[0, 1]"), run("two", "seeds=[1]")
    one, other = state(both / "seed1"), state(alone)
    assert one["scaler"] == other["scaler"] and same(one["trainer"], other["trainer"])


def stepped(fabric: LabFabric, gradients: list[float]) -> float:
    """The weight, 0 at first, after plain steps of these gradients within one batch."""
    network: Any = fabric.setup_module(nn.Linear(1, 1, bias=False))
    nn.init.zeros_(network.weight)
    optimizer: Any = fabric.setup_optimizers(torch.optim.SGD(network.parameters(), lr=1.0))
    with fabric.batch():
        for gradient in gradients:
            optimizer.zero_grad()
            fabric.backward(gradient * network.weight.sum())
            optimizer.step()
    return float(network.weight.item())


@pytest.mark.parametrize(("overflows", "left"), [(0, [2.0, 3.0]), (1, [1.0, 3.0]), (2, [1.0, 2.0])])
def test_a_step_of_several_that_overflows_is_left_out_alone_and_the_scale_halved(
    overflows: int, left: list[float]
) -> None:
    fabric = LabFabric(Hardware("cpu", 1, "fp16", False, False, 1, ""))
    gradients = [1.0, 2.0, 3.0]
    gradients[overflows] = float("inf")
    assert stepped(fabric, gradients) == -sum(left)
    assert fabric.scaler is not None and fabric.scaler.get_scale() == 2.0**15
    assert stepped(fabric, [1.0, 1.0]) == -2
    assert fabric.scaler.get_scale() == 2.0**15


def test_a_scale_below_one_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    done = run("overflowing", "steps=30")
    (told,) = events(done, "health")
    assert told["step"] == 18, "from 2^16 down to less than 1 in 17 steps, told at the next log"
    assert told["message"].startswith(
        "the scale of losses in fp16 has fallen to 0.25: steps are being left out"
    )
    assert "run.precision" in told["message"]
    assert capsys.readouterr().err.count("the scale of losses") == 1
    assert facts(done)["status"] == "finished"


def test_two_steps_of_one_optimizer_cannot_be_accumulated(capsys: pytest.CaptureFixture[str]) -> None:
    assert lab(*words("byhand", "gradient_accumulation_steps=2", precision="32")) != 0
    told = capsys.readouterr().err
    assert "ByHand.step updates one optimizer several times" in told
    assert "trainers.py:" in told and "gradient_accumulation_steps" in told


def test_a_step_before_the_last_part_of_a_batch_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    run("careless", precision="32")
    assert lab(*words("careless", "gradient_accumulation_steps=2", precision="32")) != 0
    assert "the trainer steps an optimizer after part 1 of 2 of a batch" in capsys.readouterr().err
