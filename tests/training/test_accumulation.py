"""Gradients of several parts of a batch make the step of the whole; their norm is bounded as asked."""

from __future__ import annotations

import pytest
import torch

from pluglab.errors import UserError
from pluglab.training import modules_of
from pluglab.training.accumulation import Accumulation

from .conftest import batch_at, tensors, train, train_in_parts
from .test_precision import norm_of

PLAIN = {"name": "plain_sgd", "lr": 0.1}
WHOLE = {
    "encoder": "dsn_paper",
    "optimizer": PLAIN,
}  # no batch norm, no dropout: images do not see each other
GAN = {"spectral_norm": False, "generator_optimizer": PLAIN, "discriminator_optimizer": PLAIN}


def weights(trainer):
    return tensors({name: dict(net.named_parameters()) for name, net in modules_of(trainer).items()})


def test_a_step_in_parts_is_the_step_of_the_whole(build):
    one, two, four = (build("dann", **WHOLE) for _ in range(3))
    before = weights(one)
    for trainer, parts in ((one, 1), (two, 2), (four, 4)):
        train_in_parts(trainer, parts)
    for name, value in weights(one).items():
        assert not torch.equal(value, before[name]), name
        for other in (two, four):
            torch.testing.assert_close(weights(other)[name], value, rtol=1e-4, atol=1e-6)


def test_nothing_moves_before_the_last_part(build, monkeypatch):
    trainer, seen = build("dann", **WHOLE), []
    step = trainer.step

    def noting(*args):
        logs = step(*args)
        seen.append(weights(trainer))
        return logs

    before = weights(trainer)
    monkeypatch.setattr(trainer, "step", noting)
    train_in_parts(trainer, 3)
    moved = [any(not torch.equal(before[name], now[name]) for name in before) for now in seen]
    assert moved == [False, False, True]


def test_gradients_do_not_leak_into_the_next_step(build):
    straight, parts = build("dann", **WHOLE), build("dann", **WHOLE)
    for step in range(3):
        train_in_parts(straight, 1, step)
        train_in_parts(parts, 2, step)
    for name, value in weights(straight).items():
        torch.testing.assert_close(weights(parts)[name], value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("precision", ["32", "fp16"])
def test_a_gan_s_networks_step_down_the_mean_of_the_parts(build, precision):
    """G by the gradient at its images, D by that of its weights."""
    trainers = [build("sngan", precision=precision, **GAN) for _ in range(2)]
    latents = torch.randn(8, 100, generator=torch.Generator().manual_seed(0))
    real = batch_at(0, ("train",))["train"].images
    for trainer, parts in zip(trainers, (1, 2), strict=True):
        for name in ("generator", "discriminator"):
            getattr(trainer, name).eval()  # batch norm of running statistics, no power iterations
        for part in range(parts):
            trainer.fabric.accumulation = Accumulation(part, parts)
            fake = trainer.generator(latents.tensor_split(parts)[part])
            loss = trainer.generator_loss(trainer.discriminate_fake(fake), real)
            trainer.update_generator(loss, fake)
            scores = trainer.discriminate(real.tensor_split(parts)[part], fake.detach())
            trainer.update(trainer.discriminator_optimizer, trainer.loss.discriminator(*scores))
    one, two = map(weights, trainers)
    rtol, atol = (1e-4, 1e-6) if precision == "32" else (0.02, 1e-4)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=rtol, atol=atol)
    fresh = weights(build("sngan", precision=precision, **GAN))
    assert sum(not torch.equal(one[name], fresh[name]) for name in fresh) > len(fresh) / 2


def test_the_average_moves_after_the_last_part_by_the_images_of_the_whole(build):
    one, two = (build("ddpm", optimizer=PLAIN, ema_half_life=100.0, ema_ramp_up=0.0) for _ in range(2))
    torch.manual_seed(0)
    train_in_parts(one, 1)
    train_in_parts(two, 2)
    for trainer in (one, two):
        start = build("ddpm", optimizer=PLAIN).denoiser.state_dict()
        for name, average in trainer.ema.network.state_dict().items():
            now = trainer.denoiser.state_dict()[name]
            key = name.removeprefix("_forward_module.")
            expected = torch.lerp(start[key].float(), now.float(), 1 - 0.5 ** (8 / 100))
            torch.testing.assert_close(average.float(), expected, rtol=1e-4, atol=1e-6)


def test_several_steps_of_a_discriminator_cannot_be_accumulated(build):
    trainer = build("dcgan", discriminator_steps=2)
    with pytest.raises(UserError, match="2 steps of the discriminator cannot be accumulated") as told:
        train_in_parts(trainer, 2)
    assert "gradient_accumulation_steps" in told.value.help[0]
    train(trainer, 0, 1)


# Clipping ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [1, 2])
def test_a_bound_of_the_norm_is_kept_and_the_direction_too(build, parts):
    free, bound, loose = (build("dann", **WHOLE) for _ in range(3))
    train_in_parts(free, parts)
    natural = norm_of(free.optimizer)
    for trainer, most in ((bound, natural / 10), (loose, 10 * natural)):
        train_in_parts(trainer, parts, max_grad_norm=most)
    assert norm_of(bound.optimizer) == pytest.approx(natural / 10, rel=1e-3)
    assert norm_of(loose.optimizer) == pytest.approx(natural, rel=1e-6)
    before = weights(build("dann", **WHOLE))
    now, slower = weights(free), weights(bound)
    for name, start in before.items():
        torch.testing.assert_close(slower[name] - start, (now[name] - start) / 10, rtol=1e-2, atol=1e-7)


@pytest.mark.parametrize("precision", ["32", "fp16"])
def test_each_network_of_a_gan_has_a_norm_of_its_own(build, precision):
    trainer = build("sngan", precision=precision, **GAN)
    train_in_parts(trainer, 1, max_grad_norm=1e-3)
    for optimizer in (trainer.generator_optimizer, trainer.discriminator_optimizer):
        assert norm_of(optimizer) == pytest.approx(1e-3, rel=1e-2)
