from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from pluglab.capabilities import Generates, HasNetworks, HasSampling, SamplesClasses, Traces, can
from pluglab.errors import UserError
from pluglab.protocols import Batch, Progress
from pluglab.recipe.resolve import Resolver, make
from pluglab_diffusion.denoisers import NO_CLASS
from pluglab_diffusion.prediction import noised, target
from pluglab_diffusion.sampling import AddedNoise, Sampling

from .conftest import batch_at, spec_of, train


def flat(trainer: Any) -> dict[str, Tensor]:
    """Every tensor of the trainer's state, optimizer and average included."""
    found = {}

    def walk(name: str, value: Any) -> None:
        for key, item in value.items() if isinstance(value, dict) else ():
            walk(f"{name}.{key}", item)
        if isinstance(value, Tensor):
            found[name] = value.clone()

    walk("", trainer.state_dict())
    return found


def set_sampling(trainer: Any, registry: Any, **options: Any) -> None:
    """As the command line does it."""
    resolver = Resolver(registry)
    sampling = resolver.options(Sampling, options, (), "sampling")
    assert sampling is not None, resolver.problems
    trainer.sampling = sampling


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Recorder(torch.nn.Module):
    """A denoiser that notes what it is shown and predicts a function of it."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(0.5))
        self.calls: list[tuple[Tensor, Tensor, Tensor]] = []

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        self.calls.append((x, t, labels))
        return self.scale * x + labels.view(-1, 1, 1, 1)


def recording(trainer: Any) -> list[tuple[Tensor, Tensor, Tensor]]:
    """What the averaged denoiser is asked while sampling."""
    trainer.ema.network = Recorder()
    return trainer.ema.network.calls


# Training ---------------------------------------------------------------------------------------------------


def test_it_has_the_capabilities_that_evaluators_need(build):
    trainer = build()
    wanted = (SamplesClasses, Generates, Traces, HasSampling, HasNetworks)
    assert all(can(trainer, able) and can(type(trainer), able) for able in wanted)
    ((network, inputs),) = trainer.networks().values()
    assert network(*inputs).shape == (2, 1, 8, 8)


@pytest.mark.parametrize("prediction", ["epsilon", "x0", "v"])
@pytest.mark.parametrize("min_snr", [None, 5.0])
def test_a_step_descends_the_mean_squared_error_of_the_prediction(build, prediction, min_snr):
    trainer = build(prediction=prediction, min_snr=min_snr, label_drop=0.0)
    trainer.denoiser = recorder = Recorder()
    trainer.optimizer = torch.optim.SGD(recorder.parameters(), lr=1.0)
    trainer.optimizer.param_groups[0]["base_lr"] = 0.0
    images, labels = batch_at(0)["train"].images, batch_at(0)["train"].labels
    assert labels is not None
    noise: dict[str, Tensor] = {}
    draw = torch.randn_like
    try:
        torch.randn_like = lambda x: noise.setdefault("drawn", draw(x))  # type: ignore[assignment]
        figures = trainer.step(batch_at(0), Progress(0, 10))
    finally:
        torch.randn_like = draw
    ((x, t, shown),) = recorder.calls
    alpha, sigma = trainer.process.at(t)
    assert torch.equal(shown, labels)
    torch.testing.assert_close(x, noised(images, noise["drawn"], alpha, sigma))
    errors = (
        0.5 * x + labels.view(-1, 1, 1, 1) - target(prediction, images, noise["drawn"], alpha, sigma)
    ) ** 2
    snr = (alpha / sigma) ** 2
    weight = {"epsilon": snr.clamp(max=5) / snr, "x0": snr.clamp(max=5), "v": snr.clamp(max=5) / (snr + 1)}
    expected = (errors * weight[prediction]).mean() if min_snr else errors.mean()
    torch.testing.assert_close(figures["loss/denoising"], expected.detach(), rtol=1e-4, atol=1e-5)
    assert not figures["loss/denoising"].requires_grad


def test_the_loss_is_that_of_an_image_whatever_the_batch(build):
    trainer = build(min_snr=5.0)
    images, noise, output = torch.randn(3, 1, 1, 8, 8)
    t = torch.tensor([11])
    one = trainer.loss(output, images, noise, t)
    many = (part.expand(7, -1, -1, -1) for part in (output, images, noise))
    torch.testing.assert_close(trainer.loss(*many, t.expand(7)), one)
    larger = (part.repeat(1, 1, 2, 3) for part in (output, images, noise))
    torch.testing.assert_close(trainer.loss(*larger, t), one)


def test_every_level_is_trained_as_often_as_any_other(build):
    trainer = build(timesteps=50)
    torch.manual_seed(0)
    single = torch.cat([trainer.random_times(1) for _ in range(5_000)])
    counts = torch.bincount(single, minlength=50)
    assert len(counts) == 50 and counts.min() > 100 - 5 * 10 and counts.max() < 100 + 5 * 10  # 5 sigma
    together = trainer.random_times(100)
    assert together.bincount(minlength=50).tolist() == [2] * 50


def test_labels_are_left_out_image_by_image(build):
    trainer = build(label_drop=0.25)
    torch.manual_seed(0)
    labels, t = torch.arange(4000) % 3, torch.zeros(4000, dtype=torch.int64)
    shown = trainer.shown(labels, t)
    left_out = shown == NO_CLASS
    assert 0.25 - 0.035 < left_out.float().mean() < 0.25 + 0.035  # five standard errors
    assert torch.equal(shown[~left_out], labels[~left_out])
    assert torch.equal(build(label_drop=0.0).shown(labels, t), labels)


def test_an_unconditional_model_is_shown_no_label(build):
    for trainer in (build(spec=spec_of(classes=None)), build(class_conditional=False)):
        assert trainer.num_classes == 0
        assert (trainer.shown(torch.tensor([0, 1]), torch.zeros(2, dtype=torch.int64)) == NO_CLASS).all()
        train(trainer, 0, 1, total=1)
        assert trainer.sample(2, None, seeded()).shape == (2, 1, 8, 8)


def test_the_average_follows_the_weights_and_is_what_samples(build):
    trainer = build(ema_half_life=0.0)
    train(trainer, 0, 3, total=3)
    for average, weight in zip(trainer.ema.network.parameters(), trainer.denoiser.parameters(), strict=True):
        assert torch.equal(average, weight)
    before = trainer.sample(2, torch.tensor([0, 1]), seeded())
    with torch.no_grad():
        for weight in trainer.denoiser.parameters():
            weight.zero_()
    assert torch.equal(trainer.sample(2, torch.tensor([0, 1]), seeded()), before)


@pytest.mark.parametrize("stop", [1, 3])
def test_a_resumed_run_ends_with_the_same_bits(build, stop):
    """Network, optimizer and average; the denoiser has dropout, so the random generators count too."""
    options = {"denoiser": {"name": "unet", "channels": [8], "blocks": [1], "dropout": 0.3}}
    straight = build(**options)
    train(straight, 0, 4, total=4)
    first = build(**options)
    train(first, 0, stop, total=4)
    second = build(seed=1, **options)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    train(second, stop, 4, total=4)
    expected, found = flat(straight), flat(second)
    assert any("ema" in key for key in expected) and any("exp_avg" in key for key in expected)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)


def test_it_learns_three_shades_and_draws_the_one_asked_for(build):
    """Images of one of three shades a class: after a hundred steps each class has its own."""
    trainer = build(
        spec=spec_of(4),
        denoiser={"name": "unet", "channels": [16], "blocks": [1]},
        optimizer={"name": "adamw", "lr": 5e-3},
        ema_half_life=500.0,
    )
    for step in range(120):
        torch.manual_seed(step)
        trainer.step(batch_at(step, size=4, count=16), Progress(step, 120))
    drawn = trainer.sample(30, torch.arange(30) % 3, seeded()).mean((1, 2, 3)).view(10, 3)
    assert ((drawn - torch.tensor([-0.8, 0.0, 0.8])).abs() < 0.4).all()


# Sampling ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm_solver_pp_2m"])
@pytest.mark.parametrize("timesteps", [200, 1000])
def test_every_sampler_draws_images_with_any_number_of_levels(build, registry, sampler, timesteps):
    trainer = build(timesteps=timesteps)
    set_sampling(trainer, registry, sampler=sampler, steps=3)
    images = trainer.sample(4, torch.tensor([0, 1, 2, 0]), seeded())
    assert images.shape == (4, 1, 8, 8) and images.isfinite().all() and images.abs().max() <= 1
    assert torch.equal(trainer.sample(4, torch.tensor([0, 1, 2, 0]), seeded()), images)
    assert not torch.equal(trainer.sample(4, torch.tensor([0, 1, 2, 0]), seeded(1)), images)


def test_images_do_not_depend_on_how_many_are_drawn_at_once(build, registry):
    trainer = build()
    train(trainer, 0, 2, total=2)
    ends = []
    for size in (2, 5):
        set_sampling(trainer, registry, batch_size=size, steps=4)
        ends.append(trainer.sample(5, torch.tensor([0, 1, 2, 0, 1]), seeded()))
    torch.testing.assert_close(*ends)


def test_latents_become_the_same_images_at_every_call_also_with_a_sampler_that_adds_noise(build, registry):
    trainer = build()
    set_sampling(trainer, registry, sampler="ddpm", steps=5)
    latents, labels = trainer.latents(3, seeded()), torch.tensor([0, 1, 2])
    assert torch.equal(trainer.generate(latents, labels), trainer.generate(latents, labels))


@pytest.mark.parametrize(
    ("options", "batches"),
    [
        ({"guidance": 3.0}, [4, 4, 4, 4]),
        ({"guidance": 1.0}, [2, 2, 2, 2]),
        ({"guidance": 0.0}, [2, 2, 2, 2]),
        ({"guidance": 3.0, "guidance_interval": (0.3, 0.8)}, [2, 4, 4, 2]),  # t / T = 1, .75, .5 and .25
    ],
)
def test_guidance_costs_one_doubled_pass_where_it_is_on(build, registry, options, batches):
    trainer = build(timesteps=100)
    set_sampling(trainer, registry, steps=4, spacing=1.0, **options)
    calls = recording(trainer)
    trainer.sample(2, torch.tensor([1, 2]), seeded())
    assert [len(x) for x, _, _ in calls] == batches
    assert [int(t[0]) for _, t, _ in calls] == [99, 74, 49, 24]
    for _, _, labels in calls:
        asked = [NO_CLASS, NO_CLASS] if options["guidance"] == 0 else [1, 2]
        assert labels.tolist() == (asked if len(labels) == 2 else [1, 2, NO_CLASS, NO_CLASS])


def test_guidance_exaggerates_the_class(build, registry):
    """The guess is v-predicted; the recorder adds the label to v, so w shifts the first guess by w sigma."""
    trainer = build(timesteps=100)
    recording(trainer)
    firsts = []
    for w in (0.0, 1.0, 3.0):
        set_sampling(trainer, registry, guidance=w, clip=False)
        (level, *_) = trainer.process.path([99])
        firsts.append(trainer.clean_image(torch.zeros(1, 1, 2, 2), level, torch.tensor([2])))
    none, plain, strong = firsts
    torch.testing.assert_close(plain - none, torch.full((1, 1, 2, 2), -3 * level.sigma))
    torch.testing.assert_close(strong - none, 3 * (plain - none))


def test_auto_guidance_and_samples_of_no_class(build, registry):
    trainer = build()
    assert trainer.guidance(trainer.sampling) == 1.5
    assert build(spec=spec_of(classes=None)).guidance(trainer.sampling) == 1
    set_sampling(trainer, registry, steps=2, guidance=1.0)
    calls = recording(trainer)
    trainer.sample(2, None, seeded())
    assert all((labels == NO_CLASS).all() for _, _, labels in calls)


def test_a_model_that_never_saw_images_of_no_class_is_not_guided_away_from_them(build, registry):
    """With label_drop = 0 the row of "no class" is as it was drawn: it used to be guided away from."""
    trainer = build(label_drop=0.0)
    calls = recording(trainer)
    trainer.sample(5, torch.tensor([0, 1, 2, 0, 1]), seeded())
    trainer.sample(5, None, seeded())
    trainer.generate(trainer.latents(5, seeded()), None)
    trainer.trajectory(5, None, seeded(), 3)
    assert all(labels.tolist() == [0, 1, 2, 0, 1] for _, _, labels in calls)
    for w in (0.0, 0.5, 2.0):
        with pytest.raises(UserError, match="has learned no images of no class") as told:
            set_sampling(trainer, registry, guidance=w)
        assert "label_drop" in told.value.help[0]
    set_sampling(trainer, registry, guidance=1.0)
    with pytest.raises(UserError, match="label_drop"):
        build(label_drop=1.0)


@pytest.mark.parametrize("steps", [0, 1])
def test_rescaling_a_network_that_still_predicts_nothing_gives_images(build, registry, steps):
    trainer = build()
    set_sampling(trainer, registry, rescale=0.7, guidance=3.0)
    train(trainer, 0, steps, total=2)
    assert trainer.sample(3, torch.arange(3), seeded()).isfinite().all()


@pytest.mark.parametrize("sampler", ["dpm_solver_pp_2m", {"name": "ddim", "eta": 0.5}, "ddpm"])
@pytest.mark.parametrize("size", [3, 8])
def test_the_first_images_of_a_seed_are_the_same_however_many_are_drawn(build, registry, sampler, size):
    """In one call or in several, of a sampler that adds noise too; so are those of a trajectory."""
    trainer = build(spec=spec_of(size), denoiser={"name": "unet", "channels": [8], "blocks": [1]})
    train(trainer, 0, 2, total=2, size=size)
    set_sampling(trainer, registry, sampler=sampler, steps=6, spacing=1.0, batch_size=4)
    labels, stream = torch.arange(7) % 3, seeded()
    images = trainer.sample(7, labels, seeded())
    parts = [trainer.sample(len(some), some, stream) for some in labels.split((1, 4, 2))]
    torch.testing.assert_close(torch.cat(parts), images)
    torch.testing.assert_close(trainer.generate(trainer.latents(7, seeded()), labels), images)
    _, frames = trainer.trajectory(2, labels[:2], seeded(), frames=3)
    torch.testing.assert_close(frames[-1], images[:2])
    assert not torch.equal(images[0], images[3])


@pytest.mark.parametrize("size", [4, 8, 28])
def test_noise_of_whole_images_is_the_same_numbers_as_drawn_at_once(build, size):
    """On a CPU, and of a multiple of 16 values: what was sampled with a seed before is sampled again."""
    trainer = build(spec=spec_of(size))
    assert torch.equal(trainer.latents(5, seeded()), torch.randn((5, 1, size, size), generator=seeded()))


def test_added_noise_is_standard_normal_and_of_its_own_for_each_image_and_step():
    x = torch.randn(3, 1, 64, 64, generator=seeded())
    noise = AddedNoise(x)
    once, again = noise(x), noise(x)
    drawn = torch.cat([once, again]).flatten(1)
    assert drawn.mean().abs() < 0.03 and abs(drawn.std() - 1) < 0.03
    assert (torch.corrcoef(torch.cat([drawn, x.flatten(1)])) - torch.eye(9)).abs().max() < 0.08
    assert torch.equal(AddedNoise(x[1:])(x[1:]), once[1:])


def test_clipping_is_of_every_guess(build, registry):
    for clip in (True, False):
        trainer = build()
        set_sampling(trainer, registry, clip=clip)
        (level, *_) = trainer.process.path([0])
        far = trainer.clean_image(torch.full((1, 1, 8, 8), 3.0), level, torch.tensor([0]))
        assert (far.max() <= 1) == clip


def test_the_trajectory_is_evenly_spaced_from_noise_to_image(build, registry):
    trainer = build(timesteps=100)
    set_sampling(trainer, registry, steps=12, spacing=2.0)
    labels = torch.tensor([0, 1])
    times, images = trainer.trajectory(2, labels, seeded(), frames=6)
    assert times == [100, 80, 60, 40, 20, 0]
    assert images.shape == (6, 2, 1, 8, 8)
    assert torch.equal(images[0], trainer.latents(2, seeded()))
    set_sampling(trainer, registry, steps=15, spacing=1.0)
    assert torch.equal(images[-1], trainer.sample(2, labels, seeded()))


@pytest.mark.parametrize(("frames", "steps", "taken"), [(2, 7, 7), (6, 12, 15), (4, 50, 48), (51, 3, 50)])
def test_the_trajectory_takes_whole_steps_between_frames(build, registry, frames, steps, taken):
    trainer = build(timesteps=50)
    set_sampling(trainer, registry, steps=steps, guidance=1.0)
    calls = recording(trainer)
    times, _ = trainer.trajectory(1, None, seeded(), frames)
    assert len(calls) == taken and len(times) == frames and times[0] == 50 and times[-1] == 0


# Bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "spec", "words"),
    [
        (
            {"sampling": {"steps": 51}},
            spec_of(),
            "51 sampling steps are more than the model's 50 noise levels",
        ),
        (
            {"sampling": {"guidance": 2.0}},
            spec_of(classes=None),
            "guidance 2 needs a class-conditional model",
        ),
        ({"sampling": {"guidance": 2.0}, "class_conditional": False}, spec_of(), "guidance 2 needs"),
        ({"class_conditional": True}, spec_of(classes=None), "needs data with classes"),
        ({}, spec_of(9), "9 x 9: it wants multiples of 2"),
        (
            {"prediction": "epsilon", "noise_schedule": {"name": "cosine", "zero_terminal_snr": True}},
            spec_of(),
            "zero_terminal_snr makes the last level pure noise",
        ),
        (
            {"noise_schedule": {"name": "sigmoid", "start": 1.0, "end": 1.0}},
            spec_of(),
            "'sigmoid' .* is none",
        ),
    ],
)
def test_what_cannot_work_is_told_before_training(build, options, spec, words):
    with pytest.raises(UserError, match=words) as error:
        build(spec=spec, **options)
    assert error.value.help


def test_options_of_sampling_that_cannot_work_are_told_when_they_are_set(build, registry):
    trainer = build(spec=spec_of(classes=None))
    for options in ({"steps": 51}, {"guidance": 1.5}):
        with pytest.raises(UserError):
            set_sampling(trainer, registry, **options)
    assert trainer.sampling.steps == 12


@pytest.mark.parametrize("interval", [(0.5, 0.5), (0.6, 0.2), (-0.1, 1.0), (0.0, 1.1)])
def test_a_guidance_interval_that_does_not_rise_within_0_and_1(registry, interval):
    with pytest.raises(UserError, match="guidance_interval"):
        make(registry, "trainer", "ddpm", sampling={"guidance_interval": interval})


@pytest.mark.parametrize(
    ("spec", "label", "words"),
    [
        (spec_of(), 3, "class 3 was asked for, and the model knows 0 to 2"),
        (spec_of(), -1, "class -1 was asked for"),
        (spec_of(classes=None), 0, "class 0 was asked for, and the model knows no classes"),
    ],
)
def test_labels_out_of_range(build, spec, label, words):
    with pytest.raises(UserError, match=words):
        build(spec=spec).sample(1, torch.tensor([label]), seeded())


@pytest.mark.parametrize("frames", [1, 52])
def test_a_trajectory_of_too_many_or_too_few_frames(build, frames):
    with pytest.raises(UserError, match=f"{frames} frames"):
        build().trajectory(1, None, seeded(), frames)


def test_labels_that_are_missing_from_data_with_classes(build):
    batch = {"train": Batch(torch.zeros(2, 1, 8, 8), None)}
    with pytest.raises(UserError, match="classes but no labels"):
        build().step(batch, Progress(0, 1))
