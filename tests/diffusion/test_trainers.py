"""`flow_matching` and `edm`, and what all trainers of denoisers do alike."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import nn

from pluglab.capabilities import Generates, HasNetworks, HasSampling, SamplesClasses, Traces, can
from pluglab.errors import UserError
from pluglab.protocols import Progress
from pluglab_diffusion.denoising import normal_quantiles
from pluglab_diffusion.edm import c_in, c_out, c_skip

from .conftest import batch_at, spec_of, train
from .test_continuous import flow_of
from .test_ddpm import Recorder, flat, recording, seeded, set_sampling
from .test_samplers import DEVIATION, MEAN, gaussian

ALL = ["ddpm", "flow_matching", "edm"]


class Exact(nn.Module):
    """The network of Gaussian data: what a trainer's own network would say if it had learned them."""

    def __init__(self, trainer) -> None:
        super().__init__()
        self.trainer = [trainer]  # not a module of its own

    def forward(self, x, t, labels):
        (trainer,) = self.trainer
        shown = t[0].item()
        if trainer.process.timesteps:
            level = trainer.process.level(int(shown))
            image = gaussian(x, level)
            return (level.alpha * x - image) / level.sigma  # v
        if trainer.config.__class__.__qualname__.startswith("Flow"):
            level = trainer.process.level(shown / 1000)
            return (x - gaussian(x, level)) / level.sigma  # (x - x_0) / t
        low, high = trainer.config.sigma_min, trainer.config.sigma_max
        sigma, data = low * (high / low) ** (shown / 1000), trainer.config.sigma_data
        plain = x / c_in(sigma, data)
        image = gaussian(plain, trainer.process.level(sigma))
        return (image - c_skip(sigma, data) * plain) / c_out(sigma, data)


# Training ----------------------------------------------------------------------------------------------


def step_of(trainer, monkeypatch):
    """The scalars of a step of plain descent, what the network was shown, and the noise."""
    trainer.denoiser = recorder = Recorder()
    trainer.optimizer = torch.optim.SGD(recorder.parameters(), lr=1.0)
    trainer.optimizer.param_groups[0]["base_lr"] = 0.0
    drawn, draw, times, own = [], torch.randn_like, [], trainer.random_times
    monkeypatch.setattr(torch, "randn_like", lambda x: drawn.append(draw(x)) or drawn[-1])
    monkeypatch.setattr(trainer, "random_times", lambda n: times.append(own(n)) or times[-1])
    scalars = trainer.step(batch_at(0), Progress(0, 10))
    ((x, shown, labels),) = recorder.calls
    return scalars["loss/denoising"], x, shown, labels, drawn[0], times[0].view(-1, 1, 1, 1)


def test_the_loss_of_the_flow_is_the_squared_error_of_its_velocity(build, monkeypatch):
    trainer = build(name="flow_matching", label_drop=0.0)
    loss, x, shown, labels, noise, t = step_of(trainer, monkeypatch)
    images = batch_at(0)["train"].images
    torch.testing.assert_close(x, (1 - t) * images + t * noise)
    torch.testing.assert_close(shown, 1000 * t.flatten())
    output = 0.5 * x + labels.view(-1, 1, 1, 1)
    torch.testing.assert_close(loss, (output - (noise - images)).square().mean())


def test_the_loss_of_edm_is_the_weighted_error_of_the_image(build, monkeypatch):
    """lambda(sigma) |D(x_0 + sigma noise; sigma) - x_0|^2 with the functions of table 1, written out."""
    data = 0.4
    trainer = build(name="edm", label_drop=0.0, sigma_data=data)
    loss, seen, shown, labels, noise, sigma = step_of(trainer, monkeypatch)
    images = batch_at(0)["train"].images
    x = images + sigma * noise
    total = sigma**2 + data**2
    torch.testing.assert_close(seen, x / total.sqrt())
    torch.testing.assert_close(shown, trainer.process.shown(sigma.flatten()))
    output = 0.5 * seen + labels.view(-1, 1, 1, 1)
    guess = data**2 / total * x + sigma * data / total.sqrt() * output
    weight = total / (sigma * data) ** 2
    torch.testing.assert_close(loss, (weight * (guess - images).square()).mean(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "mean", "deviation", "of"),
    [
        ("flow_matching", {"time_distribution": "uniform"}, 0.5, 12**-0.5, lambda t: t),
        ("flow_matching", {"logit_mean": 0.5, "logit_std": 0.8}, 0.5, 0.8, torch.logit),
        ("edm", {}, -1.2, 1.2, torch.log),
        ("edm", {"p_mean": 0.3, "p_std": 0.7}, 0.3, 0.7, torch.log),
    ],
)
@pytest.mark.parametrize("together", [1, 64])
def test_levels_are_drawn_as_the_options_say(build, name, options, mean, deviation, of, together):
    """One by one and in batches, within which they are evenly spread."""
    trainer = build(name=name, **options)
    torch.manual_seed(0)
    found = of(torch.cat([trainer.random_times(together) for _ in range(6400 // together)]))
    assert found.isfinite().all()
    assert abs(found.mean().item() - mean) < 0.05 and abs(found.std().item() - deviation) < 0.04
    if together > 1:
        means = torch.stack([of(trainer.random_times(together)).mean() for _ in range(30)])
        assert means.std() < 0.06 * deviation  # of independent ones: 1 / 8


def test_the_ends_of_the_normal_distribution_are_numbers():
    assert normal_quantiles(torch.tensor([0.0, 0.5, 0.8413447, 1 - 2**-24])).isfinite().all()
    assert normal_quantiles(torch.tensor([0.5, 0.8413447])).tolist() == pytest.approx([0, 1], abs=1e-5)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("stop", [1, 3])
def test_a_resumed_run_ends_with_the_same_bits(build, name, stop):
    options = {"name": name, "denoiser": {"name": "unet", "channels": [8], "blocks": [1], "dropout": 0.3}}
    straight = build(**options)
    train(straight, 0, 4, total=4)
    first = build(**options)
    train(first, 0, stop, total=4)
    second = build(seed=1, **options)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    train(second, stop, 4, total=4)
    expected, found = flat(straight), flat(second)
    assert any("ema" in key for key in expected) and expected.keys() == found.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    images = [trainer.sample(3, torch.arange(3), seeded()) for trainer in (straight, second)]
    assert torch.equal(*images)


@pytest.mark.parametrize("name", ["flow_matching", "edm"])
def test_it_learns_three_shades_and_draws_the_one_asked_for(build, registry, name):
    trainer = build(
        name=name,
        spec=spec_of(4),
        denoiser={"name": "unet", "channels": [16], "blocks": [1]},
        optimizer={"name": "adamw", "lr": 5e-3},
        ema_half_life=500.0,
    )
    for step in range(120):
        torch.manual_seed(step)
        trainer.step(batch_at(step, size=4, count=16), Progress(step, 120))
    for sampler in ("dpm_solver_pp_2m", "heun"):
        set_sampling(trainer, registry, sampler=sampler)
        drawn = trainer.sample(30, torch.arange(30) % 3, seeded()).mean((1, 2, 3)).view(10, 3)
        assert ((drawn - torch.tensor([-0.8, 0.0, 0.8])).abs() < 0.4).all()


# Sampling ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_it_has_the_capabilities_that_evaluators_need(build, name):
    trainer = build(name=name)
    wanted = (SamplesClasses, Generates, Traces, HasSampling, HasNetworks)
    assert all(can(trainer, able) and can(type(trainer), able) for able in wanted)
    ((network, inputs),) = trainer.networks().values()
    assert network(*inputs).shape == (2, 1, 8, 8)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("sampler", ["heun", "dpm_solver_pp_2m"])
def test_a_model_that_knows_gaussian_data_follows_their_exact_flow(build, registry, name, sampler):
    """Through all of it: what the network is shown, what its output stands for, and where sampling starts."""
    trainer = build(name=name, sigma_data=0.7) if name == "edm" else build(name=name)
    trainer.ema.network = Exact(trainer)
    set_sampling(trainer, registry, sampler=sampler, steps=50, clip=False, guidance=1.0)
    latents = trainer.latents(8, seeded())
    first = trainer.path(trainer.sampling)[0]
    exact = flow_of(trainer.process.first_noise(latents, first), first, trainer.process.clean())
    torch.testing.assert_close(trainer.generate(latents, torch.arange(8) % 3), exact, rtol=0, atol=2e-2)
    assert (exact.mean() - MEAN).abs() < 0.1 and (exact.std() - DEVIATION).abs() < 0.1


@pytest.mark.parametrize("name", ALL)
def test_the_passes_of_each_sampler(build, registry, name):
    for sampler, passes in (("euler", 6), ("ddim", 6), ("dpm_solver_pp_2m", 6), ("heun", 11)):
        trainer = build(name=name)
        set_sampling(trainer, registry, sampler=sampler, steps=6)
        calls = recording(trainer)
        trainer.sample(2, torch.tensor([0, 1]), seeded())
        assert len(calls) == passes


@pytest.mark.parametrize("name", ["flow_matching", "edm"])
def test_the_guidance_interval_saves_passes(build, registry, name):
    """Of edm the share is that of ln(sigma) on its way from sigma_min to sigma_max."""
    trainer = build(name=name)
    set_sampling(trainer, registry, steps=8, guidance=3.0, guidance_interval=(0.3, 0.7))
    calls = recording(trainer)
    trainer.sample(2, torch.tensor([1, 2]), seeded())
    shares = [trainer.process.share(level.t) for level in trainer.path(trainer.sampling)[:-1]]
    assert [len(x) for x, _, _ in calls] == [4 if 0.3 <= share <= 0.7 else 2 for share in shares]
    assert {len(x) for x, _, _ in calls} == {2, 4}


def test_the_share_of_edm_is_of_the_logarithm(build):
    process = build(name="edm").process
    assert process.share(80.0) == 1 and process.share(0.002) == 0
    assert process.share(math.sqrt(80 * 0.002)) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("flow_matching", [1.0, 0.75, 0.5, 0.25, 0.0]), ("edm", [80.0, 15.0, 1.65, 0.065, 0.0])],
)
def test_a_film_goes_from_noise_to_the_image_at_unit_variance(build, registry, name, expected):
    trainer = build(name=name)
    train(trainer, 0, 2, total=2)
    set_sampling(trainer, registry, steps=12, spacing="karras" if name == "edm" else 1.0)
    labels = torch.tensor([0, 1])
    times, images = trainer.trajectory(2, labels, seeded(), frames=5)
    assert times == expected
    torch.testing.assert_close(images[0], trainer.latents(2, seeded()), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(images[-1], trainer.sample(2, labels, seeded()))
    with pytest.raises(UserError, match="1 frames of a reverse process"):
        trainer.trajectory(2, labels, seeded(), frames=1)


@pytest.mark.parametrize("name", ["flow_matching", "edm"])
def test_there_may_be_more_steps_than_levels_where_there_are_no_levels(build, registry, name):
    trainer = build(name=name)
    set_sampling(trainer, registry, steps=1200)
    assert len(trainer.path(trainer.sampling)) == 1201


@pytest.mark.parametrize("denoiser", ["unet", "double_conv", "residual", "dit"])
def test_every_denoiser_takes_continuous_levels(build, denoiser):
    small: dict[str, dict[str, Any]] = {
        "unet": {"channels": [8], "blocks": [1]},
        "residual": {"channels": 32, "blocks": 1},
        "dit": {"width": 16, "heads": 2, "depth": 1},
    }
    trainer = build(name="edm", denoiser={"name": denoiser, **small.get(denoiser, {})})
    train(trainer, 0, 1, total=2)
    assert trainer.sample(2, torch.tensor([0, 1]), seeded()).isfinite().all()


# Bad input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("edm", {"sigma_min": 80.0}, "sigma_min below its sigma_max"),
        ("edm", {"sigma_data": 0.0}, "sigma_data"),
        ("flow_matching", {"time_distribution": "normal"}, "time_distribution"),
        ("flow_matching", {"timesteps": 10}, "timesteps"),
        ("flow_matching", {"sampling": {"spacing": 4.0}}, "spacing"),
        ("flow_matching", {"sampling": {"spacing": "cosine"}}, "spacing"),
    ],
)
def test_options_that_cannot_be(build, name, options, words):
    with pytest.raises(UserError, match=words):
        build(name=name, **options)
