from __future__ import annotations

import math

import pytest
import torch

from pluglab.errors import UserError
from pluglab_diffusion.process import DiscreteProcess, check_levels

from .conftest import schedule

SCHEDULES = ["linear", "cosine", "sigmoid"]


@pytest.mark.parametrize("zero_snr", [False, True])
@pytest.mark.parametrize("timesteps", [200, 1000])
@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_diffusers_has_the_same_levels(registry, goldens, name, timesteps, zero_snr):
    """Its cumulative product is float32, so it agrees to about 1e-4 of the smallest shares. A linear one of
    200 steps was asked for with variances five times as large."""
    golden = goldens["alphas"][f"{name}_{timesteps}"]
    found = schedule(registry, name, timesteps, zero_terminal_snr=zero_snr)[golden["t"]]
    expected = torch.tensor(golden["zero_snr" if zero_snr else "plain"], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=3e-4, atol=1e-7)


def test_cosine_is_equation_17(registry):
    timesteps, s = 100, 0.008
    curve = [math.cos((t / timesteps + s) / (1 + s) * math.pi / 2) ** 2 for t in range(timesteps + 1)]
    expected = torch.tensor([c / curve[0] for c in curve[1:-1]], dtype=torch.float64)
    torch.testing.assert_close(schedule(registry, "cosine", timesteps)[:-1], expected)


def test_sigmoid_is_symmetric_about_the_middle(registry):
    """With start = -end the curve has the value 1/2 half way, and gamma(u) + gamma(1 - u) = 1."""
    found = schedule(registry, "sigmoid", 100)
    assert math.isclose(found[49].item(), 0.5, rel_tol=1e-9)
    torch.testing.assert_close(found[:99] + found[:99].flip(0), torch.ones(99, dtype=torch.float64))


def test_a_higher_temperature_makes_the_sigmoid_straighter(registry):
    line = 1 - torch.arange(1, 100, dtype=torch.float64) / 100
    errors = [
        (schedule(registry, "sigmoid", 100, temperature=t)[:-1] - line).abs().max() for t in (0.5, 1, 9)
    ]
    assert errors[0] > errors[1] > errors[2] and errors[2] < 0.01


@pytest.mark.parametrize("timesteps", [10, 200, 1000])
@pytest.mark.parametrize("name", SCHEDULES)
def test_the_signal_falls_from_almost_all_to_almost_none(registry, name, timesteps):
    found = schedule(registry, name, timesteps)
    assert found.dtype == torch.float64 and len(found) == timesteps
    assert (found.diff() < 0).all() and 0 < found[-1] < 1e-3 and found[0] > 1 - 5 / timesteps


@pytest.mark.parametrize("name", SCHEDULES)
def test_zero_terminal_snr_ends_in_pure_noise_and_keeps_the_first_level(registry, name):
    plain = schedule(registry, name, 100)
    stretched = schedule(registry, name, 100, zero_terminal_snr=True)
    assert stretched[-1] == 0 and math.isclose(stretched[0], plain[0], rel_tol=1e-12)
    assert (stretched.diff() < 0).all()
    torch.testing.assert_close(  # an affine change of the square roots: their differences keep their ratio
        stretched.sqrt().diff() / stretched.sqrt().diff()[0], plain.sqrt().diff() / plain.sqrt().diff()[0]
    )


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("sigmoid", {"start": 1.0, "end": 1.0}, "no numbers"),
        ("sigmoid", {"start": 100.0, "end": 200.0}, "no numbers"),
        ("linear", {"beta_start": 1e-20, "beta_end": 1e-20}, "must fall"),
        ("linear", {"beta_start": 1e-20}, "from below 1"),
        ("linear", {"beta_start": 1e-20, "beta_end": 1e-20, "zero_terminal_snr": True}, "no numbers"),
        ("linear", {"beta_start": 0.5, "beta_end": 0.9, "zero_terminal_snr": True}, ""),
        ("linear", {"beta_start": 1e-6, "beta_end": 1e-6}, "still 100% image"),
        ("cosine", {"offset": 1e300}, "must fall"),
    ],
)
def test_what_is_no_schedule_is_told_before_training(registry, name, options, words):
    """Levels that add no noise, or no numbers, used to end in a loss of NaN or a division by zero."""
    found = schedule(registry, name, 50, **options)
    if words:
        with pytest.raises(
            UserError, match=f"'{name}' with these options and 50 levels is none.*{words}"
        ) as told:
            check_levels(found, name)
        assert told.value.help
    else:
        check_levels(found, name)


@pytest.mark.parametrize("zero_snr", [False, True])
@pytest.mark.parametrize("timesteps", [2, 3, 50, 1000, 4000])
@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_with_its_own_options_is_one(registry, name, timesteps, zero_snr):
    check_levels(schedule(registry, name, timesteps, zero_terminal_snr=zero_snr), name)


def test_a_sigmoid_may_rise_and_a_constant_variance_is_a_schedule(registry):
    check_levels(schedule(registry, "sigmoid", 100, start=3.0, end=-3.0), "sigmoid")
    check_levels(schedule(registry, "linear", 100, beta_start=0.02, beta_end=0.02), "linear")


def test_levels_are_those_of_the_schedule_and_end_clean(registry):
    alphas_cumprod = schedule(registry, "linear", 10)
    levels = DiscreteProcess(alphas_cumprod).path([9, 4, 0])
    assert [level.t for level in levels] == [9, 4, 0, -1]
    for level in levels:
        assert math.isclose(level.alpha**2 + level.sigma**2, 1)
        signal = alphas_cumprod[level.t].item() if level.t >= 0 else 1
        assert math.isclose(level.alpha**2, signal)
    assert math.isclose(levels[1].log_snr, math.log(levels[1].alpha / levels[1].sigma))
    assert levels[-1].log_snr == math.inf
    zero = DiscreteProcess(schedule(registry, "linear", 10, zero_terminal_snr=True)).path([9])
    assert zero[0].log_snr == -math.inf
