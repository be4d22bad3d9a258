"""Samplers against diffusers, and against data whose exact denoiser is known."""

from __future__ import annotations

import itertools
import math
from itertools import pairwise

import pytest
import torch

from pluglab.errors import UserError
from pluglab.recipe.resolve import make
from pluglab_diffusion.prediction import image_of
from pluglab_diffusion.process import CLEAN, DiscreteProcess, Level

from .conftest import path_of, schedule

SAMPLERS = {"ddpm": {}, "ddim": {}, "ddim noisy": {"eta": 1.0}, "dpm_solver_pp_2m": {}}
DETERMINISTIC = ["ddim", "dpm_solver_pp_2m"]


def run(registry, name, denoise, x, path, noise=torch.randn_like, **options):
    """x after every step."""
    return list(make(registry, "sampler", name.split()[0], **options).build(denoise, x, path, noise))


# Diffusers ---------------------------------------------------------------------------------------------


def network_of(prediction):
    """The goldens' network, as a guess of the clean image."""

    def denoise(x, level):
        output = torch.tanh(0.8 * x + level.t / 1000)
        return image_of(prediction, output, x, level.alpha, level.sigma)

    return denoise


def test_one_ancestral_step_is_that_of_diffusers(registry, goldens):
    process = DiscreteProcess(schedule(registry, "linear"))
    assert len(goldens["ddpm_step"]) == 12
    for golden in goldens["ddpm_step"]:
        x, noise, after = (torch.tensor(golden[k], dtype=torch.float64) for k in ("x", "noise", "after"))
        path = process.path([golden["t"], golden["t_after"]])[:2]
        denoise, drawn = network_of(golden["prediction"]), lambda x, noise=noise: noise
        found = run(registry, "ddpm", denoise, x, path, drawn, variance=golden["variance"])[-1]
        torch.testing.assert_close(found, after, rtol=1e-4, atol=1e-5)


def test_whole_chains_are_those_of_diffusers(registry, goldens):
    seen = set()
    for golden in goldens["chains"]:
        alphas_cumprod = schedule(registry, "linear", zero_terminal_snr=golden.get("zero_snr", False))
        path = path_of(alphas_cumprod, len(golden["timesteps"]))
        assert [level.t for level in path] == [*golden["timesteps"], -1]  # 'trailing' there, spacing 1 here
        drawn = iter(torch.tensor(golden["noises"], dtype=torch.float64))
        x = torch.tensor(golden["start"], dtype=torch.float64)
        denoise = network_of(golden["prediction"])
        states = run(
            registry, golden["sampler"], denoise, x, path, lambda x, d=drawn: next(d), **golden["options"]
        )
        expected = torch.tensor(golden["states"], dtype=torch.float64)
        torch.testing.assert_close(torch.stack(states), expected, rtol=2e-4, atol=2e-4)
        seen.add((golden["sampler"], golden["prediction"], *golden["options"].values()))
    assert len(seen) == 9


# Gaussian data: x_0 ~ N(m, s^2), of which E[x_0 | x_t] is known -----------------------------------------

MEAN, DEVIATION = 0.3, 0.5


def gaussian(x, level: Level):
    """E[x_0 | x_t] = m + alpha s^2 / v (x_t - alpha m), with v = alpha^2 s^2 + sigma^2."""
    variance = level.alpha**2 * DEVIATION**2 + level.sigma**2
    return MEAN + level.alpha * DEVIATION**2 / variance * (x - level.alpha * MEAN)


def exact_end(x, first: Level):
    """Where the probability flow takes x: it keeps (x - alpha m) / sqrt(v), so at the end m + s times it."""
    variance = first.alpha**2 * DEVIATION**2 + first.sigma**2
    return MEAN + DEVIATION * (x - first.alpha * MEAN) / variance**0.5


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_deterministic_samplers_follow_the_probability_flow(registry, name):
    x = torch.randn(64, 1, 2, 2, dtype=torch.float64)
    path = path_of(schedule(registry, "cosine"), 1000)
    found = run(registry, name, gaussian, x, path)[-1]
    torch.testing.assert_close(found, exact_end(x, path[0]), rtol=0, atol=5e-3)


@pytest.mark.parametrize(("name", "order"), [("ddim", 1), ("dpm_solver_pp_2m", 2)])
def test_the_error_falls_with_the_order_of_the_sampler(registry, name, order):
    """Half the step in log SNR divides the error by 2^order, where no last step of first order is in it."""
    x = torch.randn(64, 1, 2, 2, dtype=torch.float64)
    errors = []
    for steps in (40, 80):
        lambdas = torch.linspace(-2.5, 2.5, steps + 1, dtype=torch.float64)
        path = [
            Level(0, math.exp(v) / math.hypot(1, math.exp(v)), 1 / math.hypot(1, math.exp(v)))
            for v in lambdas
        ]
        variances = [level.alpha**2 * DEVIATION**2 + level.sigma**2 for level in (path[0], path[-1])]
        kept = (x - path[0].alpha * MEAN) * (variances[1] / variances[0]) ** 0.5
        exact = path[-1].alpha * MEAN + kept
        errors.append((run(registry, name, gaussian, x, path)[-1] - exact).abs().max().item())
    assert 2**order * 0.8 < errors[0] / errors[1] < 2**order * 1.25


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_ends_with_the_distribution_of_the_data(registry, name):
    x = torch.randn(20_000, 1, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.manual_seed(1)
    path = path_of(schedule(registry, "cosine", 200), 200)
    found = run(registry, name, gaussian, x, path, **SAMPLERS[name])[-1]
    assert abs(found.mean().item() - MEAN) < 0.015  # four standard errors of 20,000 draws
    assert abs(found.std().item() - DEVIATION) < 0.015


def test_large_variance_is_exact_for_pure_noise_and_small_for_a_point(registry):
    """For data of variance 1 the true reverse step has the large variance, for one point the small one
    (Ho et al. 2020, section 3.2): then the deviation of x_t is right at every level."""
    torch.manual_seed(0)
    path = path_of(schedule(registry, "linear", 100), 10)
    unit = run(
        registry, "ddpm", lambda x, t: t.alpha * x, torch.randn(20_000, 1, 1, 1), path, variance="large"
    )
    point = run(registry, "ddpm", lambda x, t: 0 * x, torch.randn(20_000, 1, 1, 1), path, variance="small")
    for one, other, level in zip(unit[:-1], point[:-1], path[1:-1], strict=True):
        assert abs(one.std().item() - 1) < 0.03
        assert abs(other.std().item() - level.sigma) < 0.03


@pytest.mark.parametrize(("name", "steps"), list(itertools.product(SAMPLERS, [1, 2, 3, 7])))
@pytest.mark.parametrize("zero_snr", [False, True])
def test_any_number_of_steps_reaches_a_single_point(registry, name, steps, zero_snr):
    """If the guess is right, the last step lands on it, also from a level of pure noise."""
    path = path_of(schedule(registry, "cosine", 50, zero_terminal_snr=zero_snr), steps)
    x, point = torch.randn(3, 1, 2, 2), torch.full((3, 1, 2, 2), 0.7)
    states = run(registry, name, lambda x, level: point, x, path, **SAMPLERS[name])
    assert len(states) == steps
    torch.testing.assert_close(states[-1], point)


def test_ddim_with_all_its_noise_is_ancestral_sampling(registry):
    path = path_of(schedule(registry, "linear"), 13)
    x = torch.randn(2, 1, 3, 3, dtype=torch.float64)
    ends = []
    for name, options in (("ddpm", {}), ("ddim", {"eta": 1.0})):
        generator = torch.Generator().manual_seed(0)
        noise = lambda x, g=generator: torch.randn(x.shape, generator=g, dtype=x.dtype)  # noqa: E731
        ends.append(torch.stack(run(registry, name, network_of("v"), x, path, noise, **options)))
    torch.testing.assert_close(*ends)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_deterministic_samplers_draw_no_noise(registry, name):
    def never(x):
        raise AssertionError("noise was drawn")

    path = path_of(schedule(registry, "cosine"), 5)
    assert run(registry, name, gaussian, torch.randn(1, 1, 2, 2), path, never)


# Levels ---------------------------------------------------------------------------------------------------


def times_of(timesteps, steps, spacing):
    return DiscreteProcess(cosine_shares(timesteps)).times(steps, spacing)


def cosine_shares(timesteps):
    return torch.cos(torch.linspace(0.01, 0.99, timesteps, dtype=torch.float64) * math.pi / 2).square()


@pytest.mark.parametrize("spacing", [1, 1.5, 2, 3, "karras"])
@pytest.mark.parametrize("timesteps", [7, 200, 1000])
def test_levels_fall_strictly_from_the_last_for_every_number_of_steps(timesteps, spacing):
    for steps in range(1, timesteps + 1, max(1, timesteps // 40)):
        found = times_of(timesteps, steps, spacing)
        assert len(found) == steps and found[0] == timesteps - 1 and found[-1] >= 0
        assert all(a > b for a, b in pairwise(found))
    assert times_of(timesteps, timesteps, spacing) == list(range(timesteps))[::-1]


def test_levels_by_hand():
    assert times_of(1000, 4, 1) == [999, 749, 499, 249]
    assert times_of(1000, 4, 2) == [999, 562, 249, 62]  # 1000 (i / 4)^2 = 1000, 562.5, 250, 62.5, less one


def test_more_steps_than_levels_are_an_error():
    with pytest.raises(
        UserError, match="51 sampling steps are more than the model's 50 noise levels"
    ) as error:
        times_of(50, 51, 1)
    assert "50" in error.value.help[0]


def test_the_default_spacing_beats_even_levels_on_an_exact_denoiser(registry):
    """Data of four points, each widened a little, has an exact denoiser; few steps are held against many."""
    points, width = torch.tensor([-0.9, -0.2, 0.4, 0.8], dtype=torch.float64), 0.05

    def denoise(x, level):
        variance = (level.alpha * width) ** 2 + level.sigma**2
        shares = (-((x - level.alpha * points) ** 2) / (2 * variance)).softmax(-1)
        mean = (shares * points).sum(-1, keepdim=True)
        return mean + level.alpha * width**2 / variance * (x - level.alpha * mean)

    x = torch.randn(2000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    alphas_cumprod = schedule(registry, "cosine")
    (*_, many) = run(registry, "dpm_solver_pp_2m", denoise, x, path_of(alphas_cumprod, 1000))
    few = [
        run(registry, "dpm_solver_pp_2m", denoise, x, path_of(alphas_cumprod, 12, s))[-1] for s in (1.0, 1.5)
    ]
    even, default = ((end - many).abs().mean().item() for end in few)
    assert default < even


def test_clean_is_the_end_of_every_path(registry):
    assert path_of(schedule(registry, "cosine"), 3)[-1] == CLEAN
