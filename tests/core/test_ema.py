"""The moving average against its definition, step by step."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from pluglab.training import TrainerBase, modules_of
from pluglab.training.ema import EMA, EMAOptions, decay


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))


def train(net: nn.Module) -> None:
    """Other weights, other running statistics, one more batch counted."""
    net(torch.randn(5, 3, 4, 4))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter))


def test_after_its_half_life_a_weight_counts_half() -> None:
    options = EMAOptions(ema_half_life=1000, ema_ramp_up=0)
    assert decay(options, 10, seen=10) ** 100 == pytest.approx(0.5)


def test_the_half_life_ramps_up_with_the_images_seen() -> None:
    options = EMAOptions(ema_half_life=1000, ema_ramp_up=0.1)
    assert decay(options, 10, seen=500) == pytest.approx(0.5 ** (10 / 50))
    assert decay(options, 10, seen=10_000) == decay(options, 10, seen=10**9) == pytest.approx(0.5**0.01)


def test_a_half_life_of_nothing_is_no_average() -> None:
    assert decay(EMAOptions(ema_half_life=0), 10, seen=10) == 0


def test_weights_and_running_statistics_follow_the_definition() -> None:
    net, options = network(), EMAOptions(ema_half_life=20, ema_ramp_up=0.5)
    average, expected = EMA(net, options), copy.deepcopy(net.state_dict())
    for step in range(4):
        train(net)
        average.update(step, images=8)
        kept = decay(options, 8, seen=8 * (step + 1))
        for name, value in net.state_dict().items():
            floating = value.is_floating_point()
            expected[name] = kept * expected[name] + (1 - kept) * value if floating else value
    for name, value in average.state_dict().items():
        torch.testing.assert_close(value, expected[name])


class _Trainer(TrainerBase):
    def __init__(self) -> None:
        self.network = network()
        self.average = EMA(self.network, EMAOptions())

    def step(self, batch: object, progress: object) -> dict[str, torch.Tensor]:
        raise NotImplementedError


def test_a_trainer_sets_it_up_saves_it_and_never_trains_it() -> None:
    trainer = _Trainer()
    trainer.network.to(memory_format=torch.channels_last)
    trainer.setup(Fabric(accelerator="cpu", devices=1))
    assert trainer.average.network[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert list(modules_of(trainer)) == ["network"]  # so that no one puts the average into training mode
    assert not any(p.requires_grad for p in trainer.average.network.parameters())
    train(trainer.network)
    trainer.average.update(0, images=8)
    other = _Trainer()
    other.load_state_dict(trainer.state_dict())
    images = torch.randn(2, 3, 4, 4)
    assert torch.equal(other.average(images), trainer.average(images))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_it_runs_in_the_precision_of_the_run_and_answers_in_float32(precision: Any) -> None:
    average, seen = EMA(network(), EMAOptions()), []
    average.setup(Fabric(accelerator="cpu", devices=1, precision=precision))
    average.network[0].register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    assert average(torch.randn(2, 3, 4, 4)).dtype == torch.float32
    assert seen == [torch.bfloat16 if precision == "bf16-mixed" else torch.float32]
