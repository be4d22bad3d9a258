"""What would spoil a training is told at its first step, with the author's line, and not at its end."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.core.runs import events
from tests.core.support import Lab, only_run

TRAINER = """
import threading, fractions
import torch
from torch import nn
from pluglab import Options, Role, TrainerBase

class Odd(TrainerBase):
    roles = (Role("train", labels="required"),)

    def __init__(self, config: Options, data):
        pixels = data["train"].channels * data["train"].height * data["train"].width
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(pixels, data["train"].num_classes))
        self.optimizer = torch.optim.SGD(self.net.parameters(), 0.1)

    def learn(self, batch, progress):
        loss = nn.functional.cross_entropy(self.net(batch["train"].images), batch["train"].labels)
        self.update(self.optimizer, loss)
        return {"loss": loss.detach()}

    def step(self, batch, progress):
        STEP

STATE

def lab_register(registry):
    registry.add("trainer", "odd", Odd, summary="odd")
"""
RECIPE = (
    'steps = 40\nbatch_size = 4\ntrainer = "odd"\ncheckpoint_every = 100\n[data.train]\nname = "toy_images"\n'
)
GOOD = "return self.learn(batch, progress)"
STATE = """    def state_dict(self):
        return {**super().state_dict(), "half": fractions.Fraction(1, 2)}"""


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("r.toml").write_text(RECIPE)
    return Path("odd.py")


def line_of(file: Path, word: str) -> str:
    lines = file.read_text().splitlines()
    return f"{file}:{next(number for number, line in enumerate(lines, 1) if word in line)}"


FAULTS = [
    ("batch['train'].images.mul_(2); " + GOOD, "", "step changes the images of 'train' in place"),
    ("batch['train'].labels.zero_(); " + GOOD, "", "step changes the labels of 'train' in place"),
    ("batch['train'].images[0].zero_(); " + GOOD, "", "step changes the images of 'train' in place"),
    (
        "logs = self.learn(batch, progress); torch.set_grad_enabled(False); return logs",
        "",
        "step changes whether gradients are recorded for everyone",
    ),
    (
        "torch.set_default_dtype(torch.float64); torch.set_default_dtype(torch.float16); " + GOOD,
        "",
        "step changes torch's default dtype for everyone",
    ),
    ("torch.manual_seed(progress.step); " + GOOD, "", "step seeds torch's global random generator"),
    (GOOD, STATE, "torch.load(weights_only=True) does not take its state_dict(): 'half' is a Fraction"),
]


@pytest.mark.parametrize(("step", "state", "told"), FAULTS)
def test_a_fault_ends_the_training_at_once(
    step: str, state: str, told: str, odd: Path, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    odd.write_text(TRAINER.replace("STEP", step).replace("STATE", state))
    dtype = torch.get_default_dtype()
    try:
        assert lab("run", "r.toml", "--plugin", odd) == 1
    finally:
        torch.set_grad_enabled(True)
        torch.set_default_dtype(dtype)
    said = capsys.readouterr().err
    assert told in said
    assert line_of(odd, "def state_dict" if state else "def step") in said
    assert not events(only_run(), "step")


ODDITIES = [
    (
        "return {'loss': nn.functional.cross_entropy(self.net(batch['train'].images), batch['train'].labels)"
        ".detach()}",
        "the first step made no step of any optimizer",
    ),
    (
        "logs = self.learn(batch, progress); self.net.eval(); return logs",
        "the first step left 'net', which is trained, in evaluation mode",
    ),
]


@pytest.mark.parametrize(("step", "told"), ODDITIES)
def test_what_may_be_meant_is_told_and_goes_on(
    step: str, told: str, odd: Path, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    odd.write_text(TRAINER.replace("STEP", step).replace("STATE", ""))
    assert lab("run", "r.toml", "--plugin", odd) == 0
    assert told in capsys.readouterr().err
    assert [(event["step"], event["message"]) for event in events(only_run(), "health")] == [(1, told)]


def test_a_good_one_is_told_nothing(odd: Path, lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    odd.write_text(TRAINER.replace("STEP", GOOD).replace("STATE", ""))
    assert lab("run", "r.toml", "--plugin", odd) == 0
    assert "first step" not in capsys.readouterr().err


def test_a_loss_that_begins_as_nothing_ends_the_training_at_once(
    odd: Path, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    step = "logs = self.learn(batch, progress); return {'loss': logs['loss'] * torch.inf}"
    odd.write_text(TRAINER.replace("STEP", step).replace("STATE", ""))
    assert lab("run", "r.toml", "--plugin", odd) == 1
    assert "'loss' became NaN or infinite at or before step 1" in capsys.readouterr().err
