"""The training of StyleGAN2-lite: its two lazy regularizers, what a resume keeps, and sampling."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest
import torch

from pluglab.architecture.describing import describe
from pluglab.capabilities import Generates, HasNetworks, HasSampling, Samples, can
from pluglab.errors import UserError
from pluglab.protocols import Progress
from pluglab.training import modules_of, set_mode
from pluglab_gan import stylegan2
from pluglab_gan.stylegan2_networks import draw_noise
from pluglab_gan.stylegan2_path_length import path_lengths
from tests.core.runs import lab

from .conftest import images_at, spec_of, tensors, train

SMALL = {"width": 2, "latent_size": 8, "mapping_depth": 2, "attention_heads": 1}


@pytest.fixture
def small(build):
    """A trainer of 32 x 32 images, in training mode."""

    def small(**options):
        return build("stylegan2_lite", **{"spec": spec_of(32), **SMALL, **options})

    return small


def steps(trainer, start, stop, n=4):
    return train(trainer, start, stop, total=100, n=n, size=32)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def gradients(network):
    return {name: None if p.grad is None else p.grad.clone() for name, p in network.named_parameters()}


def weights(trainer):
    modules = modules_of(trainer).items()
    return {f"{name}.{k}": p.detach().clone() for name, m in modules for k, p in m.named_parameters()}


def lively(trainer):
    """A trainer whose average draws noise and knows a mean style, as after some training."""
    with torch.no_grad():
        for name, parameter in trainer.ema.network.named_parameters():
            if name.endswith("noise_strength"):
                parameter.normal_(generator=generator())
        trainer.ema.network.mapping.mean.normal_(generator=generator())
    set_mode(trainer, "eval")
    return trainer


# Steps --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["32", "bf16"])
@pytest.mark.parametrize("options", [{}, {"start": "style"}, {"r1": 0, "gradient_penalty": 10}])
def test_every_weight_trains_and_every_figure_is_a_finite_float32_scalar(small, precision, options):
    """Step 0 has every regularizer, so that each is differentiated twice in that precision."""
    trainer = small(precision=precision, diff_augment=["color", "translation", "cutout"], **options)
    before = weights(trainer)
    figures = steps(trainer, 0, 1)
    figures |= steps(trainer, 1, 3)
    penalty = "gradient_penalty" if "gradient_penalty" in options else "r1"
    assert {
        f"loss/{name}" for name in ("generator", "discriminator", "path_length", penalty)
    } <= figures.keys()
    for figure in figures.values():
        assert figure.ndim == 0 and figure.dtype == torch.float32
        assert not figure.requires_grad and figure.isfinite()
    after = weights(trainer)
    assert not [name for name in before if torch.equal(before[name], after[name])]


def test_regularizers_in_bf16_agree_with_float32(small):
    one, other = (steps(small(precision=precision, width=16), 0, 1) for precision in ("32", "bf16"))
    for name in ("loss/r1", "training/path_length"):
        torch.testing.assert_close(other[name], one[name], rtol=0.05, atol=0)


def test_regularizers_are_left_out_in_the_steps_between(small):
    trainer = small()
    for step in range(9):
        figures = steps(trainer, step, step + 1)
        assert ("loss/r1" in figures) == (step in (0, 4, 8))
        assert ("loss/path_length" in figures) == (step == 0)


def test_a_path_length_step_counts_as_often_as_it_is_left_out(small):
    """The gradient that G steps along, against that of the loss + every x weight x (|J^T y| - a)^2."""
    trainer = small(path_length=0.5, path_length_every=6, style_mixing=0.0)
    for optimizer in (trainer.generator_optimizer, trainer.discriminator_optimizer):
        optimizer.step = lambda *args, **kwargs: None
    steps(trainer, 6, 7)
    found = gradients(trainer.generator)

    torch.manual_seed(6)
    latents = trainer.training_latents(4)
    styles = trainer.generator.repeated(trainer.generator.mapping(latents))
    noise = draw_noise(4, 4, latents.device)
    fake = trainer.generator.synthesis(styles, noise)
    lengths = path_lengths(fake, styles, torch.randn_like(fake))
    mean = lengths.detach().mean() / 2  # the second call: half of the first mean, which was 0
    total = (
        trainer.generator_loss(trainer.discriminator(fake), fake) + 6 * 0.5 * (lengths - mean).square().mean()
    )
    trainer.generator.zero_grad()
    total.backward()
    for name, expected in gradients(trainer.generator).items():
        torch.testing.assert_close(found[name], expected, rtol=1e-3, atol=1e-5)


def test_a_shift_of_nothing_has_the_derivative_of_the_styles(small):
    trainer = small(style_mixing=0.0)
    shift = trainer.shift(3, Progress(0, 100))
    z, y = trainer.training_latents(3), torch.randn(3, 3, 32, 32)
    noise = draw_noise(3, 4, z.device)
    styles = trainer.generator.repeated(trainer.generator.mapping(z))
    expected = path_lengths(trainer.generator.synthesis(styles, noise), styles, y)
    torch.testing.assert_close(path_lengths(trainer.generator(z, shift, noise), shift, y), expected)
    assert trainer.shift(3, Progress(1, 100)) is None


def test_neither_network_is_touched_by_the_step_of_the_other(small):
    trainer, progress = small(), Progress(0, 100)
    untouched = copy.deepcopy(trainer.generator.state_dict())
    fake = trainer.generator(trainer.training_latents(4))
    after_forward = copy.deepcopy(trainer.generator.mapping.mean)
    trainer.train_discriminator(images_at(0, 4, 32), fake.detach(), progress)
    assert all(gradient is None for gradient in gradients(trainer.generator).values())
    for name, value in trainer.generator.state_dict().items():
        expected = after_forward if name == "mapping.mean" else untouched[name]
        assert name == "mapping.batches" or torch.equal(value, expected), name

    fixed, of_discriminator = tensors(trainer), gradients(trainer.discriminator)
    trainer.update_generator(trainer.generator_loss(trainer.discriminate_fake(fake), fake), fake)
    for name, gradient in gradients(trainer.discriminator).items():
        assert torch.equal(gradient, of_discriminator[name])
    for name, value in tensors(trainer).items():
        assert "discriminator" not in name or torch.equal(value, fixed[name]), name


def test_a_resumed_run_ends_with_the_same_bits_wherever_it_stopped(small):
    """Between lazy steps, and right before and after them (0, 2, 4 for R1; 0, 3 for path lengths)."""
    lazy = {"penalty_every": 2, "path_length_every": 3}
    straight, states = small(**lazy), []
    for step in range(5):
        steps(straight, step, step + 1)
        states.append(copy.deepcopy(straight.state_dict()))
    expected = tensors(straight)
    for name in (".path_length.mean", ".generator.mapping.mean", ".ema.mapping.mean"):
        assert expected[name].abs().max() > 0, name
    for step, state in enumerate(states[:-1]):
        resumed = small(seed=1, **lazy)
        resumed.load_state_dict(state)
        steps(resumed, step + 1, 5)
        found = tensors(resumed)
        assert expected.keys() == found.keys()
        assert not [name for name in expected if not torch.equal(expected[name], found[name])], step


def test_each_network_descends_its_own_loss(small):
    """Against images, latents and noise that stay the same."""
    trainer, progress = small(style_mixing=0.0), Progress(1, 100)
    real, z = images_at(0, 4, 32), trainer.training_latents(4)
    noise = draw_noise(4, 4, z.device)
    fake = trainer.generator(z, None, noise).detach()
    losses = [trainer.train_discriminator(real, fake, progress)["loss/discriminator"] for _ in range(10)]
    assert losses[-1] < 0.9 * losses[0]
    losses = []
    for _ in range(10):
        fake = trainer.generator(z, None, noise)
        losses.append(trainer.generator_loss(trainer.discriminate_fake(fake), fake))
        trainer.update_generator(losses[-1], fake)
    assert losses[-1] < 0.9 * losses[0]


# Sampling -----------------------------------------------------------------------------------------


def test_it_can_sample_generate_and_list_its_networks(small):
    trainer = small()
    for able in (Samples, Generates, HasNetworks, HasSampling):
        assert can(trainer, able) and can(type(trainer), able)
    described = {network.name: network.parameters for network in describe(trainer).networks}
    counted = {name: sum(p.numel() for p in m.parameters()) for name, m in modules_of(trainer).items()}
    assert described == counted


def test_truncation_to_nothing_makes_the_image_of_the_mean_style(small):
    trainer = lively(small(sampling={"truncation": 0.0}))
    images = trainer.generate(trainer.latents(3, generator()), None)
    assert torch.equal(images[0], images[1]) and torch.equal(images[0], images[2])
    network = trainer.ema.network
    mean = network.mapping.mean.expand(1, 4, -1)
    noise = draw_noise(1, 4, mean.device, generator(0))
    with torch.no_grad():
        torch.testing.assert_close(images[:1], network.synthesis(mean, noise).clamp(-1, 1))


def test_styles_are_mixed_with_those_of_the_trainers_own_latents(small):
    trainer = small(latent_distribution="uniform", style_mixing=1.0)
    seen = []
    trainer.generator.mapping.register_forward_hook(lambda m, inputs, out: seen.append(inputs[0]))
    trainer.generator(trainer.training_latents(500))
    assert len(seen[0]) == 1000 and seen[0].abs().max() <= 1


def test_less_truncation_means_more_variety(small):
    spread = []
    for psi in (0.3, 0.7, 1.0):
        trainer = lively(small(sampling={"truncation": psi}))
        spread.append(trainer.generate(trainer.latents(16, generator()), None).std(0).mean())
    assert spread[0] < spread[1] < spread[2]


def test_samples_are_a_function_of_their_generator_noise_included(small):
    trainer = lively(small())
    once, again, other = (trainer.sample(3, None, generator(seed)) for seed in (0, 0, 1))
    assert once.shape == (3, 3, 32, 32) and once.abs().max() <= 1
    assert torch.equal(once, again) and not torch.equal(once, other)
    torch.manual_seed(5)
    assert torch.equal(once, trainer.sample(3, None, generator()))


def test_images_of_given_latents_have_one_noise_and_do_not_depend_on_each_other(small, monkeypatch):
    trainer = lively(small())
    latents = trainer.latents(5, generator())
    latents[4] = latents[0]
    images = trainer.generate(latents, None)
    torch.testing.assert_close(images[4], images[0])
    monkeypatch.setattr(stylegan2, "CHUNK", 2)
    torch.testing.assert_close(trainer.generate(latents, None), images)


def test_samples_come_in_parts_of_bounded_size(small, monkeypatch):
    trainer, sizes = lively(small()), []
    trainer.ema.network.register_forward_hook(lambda m, inputs, out: sizes.append(len(out)))
    monkeypatch.setattr(stylegan2, "CHUNK", 2)
    assert trainer.sample(5, None, generator()).shape == (5, 3, 32, 32)
    assert sizes == [2, 2, 1]


def test_sampling_leaves_the_mean_style_alone(small):
    trainer = small()
    steps(trainer, 0, 1)
    before = tensors(trainer)
    trainer.sample(3, None, generator())
    trainer.generate(trainer.latents(3, generator()), None)
    after = tensors(trainer)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_what_may_be_changed_after_training_is_shown(capsys):
    assert lab("show", "trainer", "stylegan2_lite", "--json", plugin=False) == 0
    options = {one["option"]: one for one in json.loads(capsys.readouterr().out)["options"]}
    assert options["sampling.truncation"]["type"] == "float >= 0, <= 1"
    assert options["sampling.truncation"]["default"] == "1.0"


# What it cannot do --------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(28, 28), (48, 48), (256, 256), (16, 16), (64, 32)])
def test_other_sizes_are_refused_with_the_way_out(small, height, width):
    with pytest.raises(UserError, match=f"cannot take images of {height} x {width}") as caught:
        small(spec=replace(spec_of(32), height=height, width=width))
    assert "size" in caught.value.help[0]


def test_gray_images_are_fine(small):
    trainer = small(spec=spec_of(32, channels=1))
    assert trainer.sample(2, None, generator()).shape == (2, 1, 32, 32)
