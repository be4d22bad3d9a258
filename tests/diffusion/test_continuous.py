"""Continuous levels, and the samplers of Euler and Heun on all processes: closed forms and diffusers."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from pluglab.recipe.resolve import make
from pluglab_diffusion.edm import c_in, c_out, c_skip
from pluglab_diffusion.process import (
    DiscreteProcess,
    Level,
    Path,
    RectifiedFlow,
    VarianceExploding,
    karras,
)

from .conftest import schedule
from .test_samplers import DEVIATION, MEAN, gaussian, run

ALL = ["ddpm", "ddim", "dpm_solver_pp_2m", "euler", "heun"]
DETERMINISTIC = ["ddim", "dpm_solver_pp_2m", "euler", "heun"]
NOISY = {"ddpm": {}, "ddim": {"eta": 1.0}, "euler": {"churn": 40.0}, "heun": {"churn": 40.0}}


@pytest.fixture(params=["discrete", "flow", "edm"])
def process(request, registry):
    if request.param == "discrete":
        return DiscreteProcess(schedule(registry, "cosine"))
    return RectifiedFlow() if request.param == "flow" else VarianceExploding()


def path_on(process, steps, spacing="karras"):
    return process.path(process.times(steps, spacing))


def flow_of(x, t, s):
    """Where the probability flow of Gaussian data takes x: it keeps (x - alpha m) / sqrt(v)."""
    before, after = ((level.alpha * DEVIATION) ** 2 + level.sigma**2 for level in (t, s))
    return s.alpha * MEAN + (x - t.alpha * MEAN) * (after / before) ** 0.5


def gaussian_noise(count, level, seed=0):
    """Noised Gaussian data at a level, float64."""
    generator = torch.Generator().manual_seed(seed)
    deviation = math.hypot(level.alpha * DEVIATION, level.sigma)
    return level.alpha * MEAN + deviation * torch.randn(count, 1, 1, 1, generator=generator).double()


# Levels ------------------------------------------------------------------------------------------------


def test_karras_sigmas_are_those_of_diffusers_and_of_the_formula(goldens):
    assert karras(8, 7.0, 0.002, 80.0) == pytest.approx(goldens["edm"][0]["levels"][:-1], rel=1e-6)
    assert karras(3, 1.0, 2.0, 6.0) == pytest.approx([6.0, 4.0, 2.0])  # rho = 1 is even
    assert karras(1, 7.0, 0.002, 80.0) == pytest.approx([80.0])
    found = VarianceExploding(0.01, 10.0).times(4, "karras", 3.0)
    by_hand = [(10 ** (1 / 3) + i / 3 * (0.01 ** (1 / 3) - 10 ** (1 / 3))) ** 3 for i in range(4)]
    assert found == pytest.approx(by_hand)


def test_a_level_is_the_same_for_tensors_and_alone(process):
    times = process.times(7, 1.5)
    alpha, sigma = process.at(torch.tensor(times))
    for i, t in enumerate(times):
        level = process.level(t)
        assert alpha[i].item() == pytest.approx(level.alpha, rel=1e-5, abs=1e-7)
        assert sigma[i].item() == pytest.approx(level.sigma, rel=1e-5)
    assert alpha.shape == (7, 1, 1, 1)


@pytest.mark.parametrize("spacing", [1.0, 2.5, "karras"])
def test_paths_fall_to_the_clean_image(process, spacing):
    path = path_on(process, 9, spacing)
    assert len(path) == 10 and path[-1].sigma == 0 and path[-1].alpha == 1
    assert all(a.t > b.t and a.ratio > b.ratio for a, b in pairwise(path))
    shares = [process.share(level.t) for level in path[:-1]]
    assert shares == sorted(shares, reverse=True) and shares[-1] >= 0 and shares[0] <= 1


def test_the_level_of_a_ratio_is_found_again(process):
    for ratio in (0.05, 1.0, 20.0):
        level = process.level(process.time_of(ratio))
        assert level.ratio == pytest.approx(ratio, rel=0.05 if process.timesteps else 1e-12)


def test_karras_levels_of_the_flow_have_karras_ratios():
    ratios = [level.ratio for level in path_on(RectifiedFlow(), 5)[:-1]]
    assert ratios == pytest.approx(karras(5, 7.0, 0.002, 80.0))


def test_what_a_denoiser_is_shown_spans_its_range():
    assert RectifiedFlow().shown(torch.tensor([0.0, 0.25, 1.0])).tolist() == [0, 250, 1000]
    edm = VarianceExploding()
    shown = edm.shown(torch.tensor([0.002, 80.0, (0.002 * 80.0) ** 0.5]))
    torch.testing.assert_close(shown, torch.tensor([0.0, 1000.0, 500.0]), atol=1e-2, rtol=1e-4)
    noise = torch.tensor([0.1, 0.5, 3.0, 30.0]).log() / 4  # c_noise of table 1
    times = edm.shown((noise * 4).exp())
    torch.testing.assert_close(times.diff() / noise.diff(), torch.full((3,), 4000 / math.log(40_000)))


# Preconditioning ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.002, 0.1, 1.0, 30.0])
def test_preconditioning_keeps_inputs_and_targets_at_unit_variance(sigma):
    """For data of that deviation: the requirements of Karras et al. 2022, appendix B.6."""
    data = 0.6
    assert c_in(sigma, data) ** 2 * (data**2 + sigma**2) == pytest.approx(1)
    left = (1 - c_skip(sigma, data)) ** 2 * data**2 + c_skip(sigma, data) ** 2 * sigma**2
    assert left / c_out(sigma, data) ** 2 == pytest.approx(1)
    nearby = c_skip(sigma, data) + 1e-4  # c_skip makes the error that F has to mend the least
    assert (1 - nearby) ** 2 * data**2 + nearby**2 * sigma**2 > left


# Diffusers ---------------------------------------------------------------------------------------------


def test_edm_chains_are_those_of_diffusers(registry, goldens):
    process = VarianceExploding()
    for golden in goldens["edm"]:
        data = golden["sigma_data"]

        def denoise(x, level, data=data):
            network = torch.tanh(0.8 * c_in(level.sigma, data) * x + math.log(level.sigma) / 4)
            return c_skip(level.sigma, data) * x + c_out(level.sigma, data) * network

        path = path_on(process, len(golden["states"]))
        assert [level.sigma for level in path] == pytest.approx(golden["levels"], rel=1e-6)
        x = process.first_noise(torch.tensor(golden["start"], dtype=torch.float64), path[0])
        drawn = iter(
            noise
            for noise, level in zip(golden["noises"], path, strict=False)
            if 0.05 <= level.sigma <= 50  # where that chain adds noise
        )
        noise = lambda x, d=drawn: torch.tensor(next(d), dtype=torch.float64)  # noqa: E731
        found = run(registry, golden["sampler"], denoise, x, path, noise, **golden["options"])
        expected = torch.tensor(golden["states"], dtype=torch.float64)
        torch.testing.assert_close(torch.stack(found), expected, rtol=2e-5, atol=2e-5)


def test_flow_chains_are_those_of_diffusers(registry, goldens):
    for golden in goldens["flow"]:
        path = RectifiedFlow().path(golden["levels"][:-1])
        x = torch.tensor(golden["start"], dtype=torch.float64)
        found = run(registry, golden["sampler"], lambda x, t: x - t.t * torch.tanh(0.8 * x + t.t), x, path)
        expected = torch.tensor(golden["states"], dtype=torch.float64)
        torch.testing.assert_close(torch.stack(found), expected, rtol=2e-5, atol=2e-5)


def test_the_chain_of_heun_is_that_of_diffusers(registry, goldens):
    golden = goldens["heun"]
    path = VarianceExploding().path(golden["levels"][:-1])
    x = torch.tensor(golden["start"], dtype=torch.float64) * path[0].sigma
    found = run(registry, "heun", lambda x, t: torch.tanh(0.8 * x / (1 + t.sigma)), x, path)
    expected = torch.tensor(golden["states"], dtype=torch.float64)
    torch.testing.assert_close(torch.stack(found), expected, rtol=1e-4, atol=1e-4)


# Gaussian data -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_deterministic_samplers_follow_the_exact_flow_on_every_process(registry, process, name):
    path = path_on(process, 400)
    x = gaussian_noise(64, path[0])
    found = run(registry, name, gaussian, x, path)[-1]
    first_order = name in ("ddim", "euler")
    torch.testing.assert_close(
        found, flow_of(x, path[0], path[-1]), rtol=0, atol=2e-2 if first_order else 1e-3
    )


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("noisy", [False, True])
def test_every_sampler_ends_with_the_data_on_every_process(registry, process, name, noisy):
    """Starting from pure noise, as a model does."""
    path = path_on(process, 480)
    noise = torch.randn(20_000, 1, 1, 1, generator=torch.Generator().manual_seed(0)).double()
    torch.manual_seed(1)
    options = NOISY.get(name, {}) if noisy else {}
    found = run(registry, name, gaussian, process.first_noise(noise, path[0]), path, **options)[-1]
    assert abs(found.mean().item() - MEAN) < 0.015  # four standard errors of 20,000 draws
    assert abs(found.std().item() - DEVIATION) < 0.015


@pytest.mark.parametrize(("name", "order"), [("euler", 1), ("heun", 2), ("ddim", 1), ("dpm_solver_pp_2m", 2)])
@pytest.mark.parametrize("kind", ["flow", "edm", "preserving"])
def test_the_error_falls_with_the_order_on_every_process(registry, kind, name, order):
    """Half the step divides the error by 2^order, where no step ends in the clean image."""
    errors = []
    for steps in (160, 320):
        grid = torch.linspace(1, 0, steps + 1, dtype=torch.float64).tolist()
        levels = [LINES[kind](u) for u in grid]
        x = gaussian_noise(64, levels[0])
        found = run(registry, name, gaussian, x, levels)[-1]
        errors.append((found - flow_of(x, levels[0], levels[-1])).abs().max().item())
    assert 2**order * 0.75 < errors[0] / errors[1] < 2**order * 1.35


LINES = {
    "flow": lambda u: Level(0, 0.9 - 0.8 * u, 0.1 + 0.8 * u),
    "edm": lambda u: Level(0, 1.0, math.exp(3 * u - 1.5)),
    "preserving": lambda u: Level(0, math.cos(0.2 + 1.2 * u), math.sin(0.2 + 1.2 * u)),
}


def test_heun_in_one_step_by_hand(registry):
    """Trapezoid of the velocity on the flow, of (x - D) / sigma on EDM (algorithm 1, lines 4 to 8)."""
    x = torch.randn(3, 1, 2, 2, dtype=torch.float64)
    for process, t, s in ((RectifiedFlow(), 0.8, 0.3), (VarianceExploding(), 5.0, 2.0)):
        path = Path([process.level(t), process.level(s)], process)

        def slope(x, level, process=process):
            image = gaussian(x, level)
            epsilon = (x - level.alpha * image) / level.sigma
            return epsilon - image if isinstance(process, RectifiedFlow) else epsilon

        first = slope(x, path[0])
        second = slope(x + (s - t) * first, path[1])
        (found,) = run(registry, "heun", gaussian, x, path)
        torch.testing.assert_close(found, x + (s - t) * (first + second) / 2)


def test_euler_without_churn_is_ddim(registry, process):
    path = path_on(process, 6)
    x = gaussian_noise(16, path[0])
    ends = [torch.stack(run(registry, name, gaussian, x, path)) for name in ("euler", "ddim")]
    torch.testing.assert_close(*ends)


@pytest.mark.parametrize("name", ["ddim", "ddpm"])
def test_all_the_noise_is_ancestral_on_every_process(registry, process, name):
    """x_s given x_t and x_0 has the variance sigma_s^2 (1 - (ratio_s / ratio_t)^2)."""
    path = path_on(process, 5)[1:3]
    x = torch.zeros(1, 1, 1, 1, dtype=torch.float64)
    options = {"eta": 1.0} if name == "ddim" else {}
    steps = [
        run(registry, name, gaussian, x, path, lambda x, v=v: torch.full_like(x, v), **options)[-1]
        for v in (0.0, 1.0)
    ]
    expected = path[1].sigma * (1 - (path[1].ratio / path[0].ratio) ** 2) ** 0.5
    assert (steps[1] - steps[0]).item() == pytest.approx(expected, rel=1e-6)


# Churn -------------------------------------------------------------------------------------------------


def test_churn_keeps_the_distribution_of_a_level(registry, process):
    """Noised Gaussian data, made noisier, is Gaussian data at the level that the denoiser is then shown."""
    seen = []

    def denoise(x, level):
        seen.append((x, level))
        return gaussian(x, level)

    path = path_on(process, 10)
    start = path[4]
    x = gaussian_noise(40_000, start)
    run(registry, "euler", denoise, x, Path(path[4:], process), churn=2.0)
    noisier, level = seen[0]
    assert level.ratio == pytest.approx(start.ratio * (1 + 2 / 6), rel=0.02)
    deviation = math.hypot(level.alpha * DEVIATION, level.sigma)
    assert noisier.std().item() == pytest.approx(deviation, rel=0.015)
    assert noisier.mean().item() == pytest.approx(level.alpha * MEAN, abs=0.02 * max(1, deviation))


def test_churn_is_bounded_and_of_an_interval(registry):
    process, seen = VarianceExploding(), []
    path = path_on(process, 8)
    options = {"churn": 100.0, "churn_min": 0.1, "churn_max": 10.0}
    run(registry, "euler", lambda x, t: seen.append(t.sigma) or 0 * x, torch.zeros(1), path, **options)
    factors = [after / level.sigma for after, level in zip(seen, path, strict=False)]
    inside = [0.1 <= level.sigma <= 10 for level in path[:-1]]
    assert factors == pytest.approx([math.sqrt(2) if here else 1.0 for here in inside])
    assert 0 < sum(inside) < 8


def test_pure_noise_cannot_be_made_noisier(registry):
    path = path_on(RectifiedFlow(), 4, 1.0)
    assert path[0].alpha == 0
    x = torch.randn(2, 1, 2, 2)
    (first, *_) = run(registry, "heun", lambda x, t: 0 * x, x, path, churn=10.0)
    assert first.isfinite().all()


def test_an_option_of_churn_is_validated(registry):
    with pytest.raises(Exception, match="churn"):
        make(registry, "sampler", "heun", churn=-1.0)
