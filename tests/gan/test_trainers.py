from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from pluglab.capabilities import (
    Classifies,
    Diagnoses,
    Generates,
    HasNetworks,
    Samples,
    SamplesClasses,
    can,
)
from pluglab.errors import UserError
from pluglab.evaluating import classes_of
from pluglab.protocols import Batch, Progress
from pluglab.recipe.resolve import make
from pluglab.training import modules_of, set_mode
from pluglab_gan import base
from pluglab_gan.base import diversity
from pluglab_gan.projection import of_classes

from .conftest import batch_at, images_at, spec_of, tensors, train

METHODS = ["dcgan", "sngan", "sagan", "acgan", "projection_gan", "r3gan"]
CONDITIONAL = ["acgan", "projection_gan"]
EVERYTHING_RANDOM = {
    "loss": {"name": "non_saturating", "real_label": (0.7, 1.2), "fake_label": (0, 0.3), "flips": 0.1},
    "diff_augment": ["color", "translation", "cutout"],
    "instance_noise": 0.2,
    "latent_distribution": "uniform",
    "discriminator_steps": 2,
    "schedule": "step_decay",
    "r1": 0.1,
    "r2": 0.2,
    "penalty_every": 2,
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def unasked():
    raise AssertionError("this loss has no use for the scores of real images")


def parameters(trainer):
    modules = modules_of(trainer).items()
    return {f"{name}.{k}": p.detach().clone() for name, m in modules for k, p in m.named_parameters()}


# Training -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["32", "bf16"])
@pytest.mark.parametrize("method", METHODS)
def test_every_weight_trains_and_every_figure_is_a_finite_float32_scalar(build, method, precision):
    # Within its margins the hinge loss is linear, and D's last bias has no gradient.
    trainer = build(method, loss="non_saturating", precision=precision)
    before = parameters(trainer)
    figures = train(trainer, 0, 3, total=3)
    for figure in figures.values():
        assert figure.ndim == 0 and figure.dtype == torch.float32
        assert not figure.requires_grad and figure.isfinite()
    after = parameters(trainer)
    assert all(p.dtype == torch.float32 for p in after.values())
    still = [k for k in before if torch.equal(before[k], after[k])]
    # A key's bias shifts all affinities of a query alike, which the softmax does not see.
    assert [k for k in still if not k.endswith("key.bias")] == []


@pytest.mark.parametrize("loss", ["non_saturating", "hinge", "least_squares", "wasserstein", "relativistic"])
@pytest.mark.parametrize("method", ["dcgan", "acgan"])
def test_every_loss_goes_with_every_penalty_in_bf16(build, method, loss):
    penalties = {"r1": 0.1, "r2": 0.1, "gradient_penalty": 10.0, "penalty_every": 2}
    trainer = build(method, loss=loss, **penalties, precision="bf16")
    figures = train(trainer, 0, 1, total=3)
    assert {"loss/r1", "loss/r2", "loss/gradient_penalty"} <= figures.keys()
    assert all(figure.isfinite() for figure in figures.values())
    assert "loss/r1" not in train(trainer, 1, 2, total=3)


@pytest.mark.parametrize("options", [{}, EVERYTHING_RANDOM], ids=["default", "everything random"])
@pytest.mark.parametrize("method", METHODS)
def test_a_resumed_run_ends_with_the_same_bits(build, method, options):
    straight = build(method, **options)
    train(straight, 0, 4, total=4)
    first = build(method, **options)
    train(first, 0, 2, total=4)
    second = build(method, seed=1, **options)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    train(second, 2, 4, total=4)
    expected, found = tensors(straight), tensors(second)
    assert expected.keys() == found.keys() and any(".ema." in f"{k}." for k in expected)
    assert [k for k in expected if not torch.equal(expected[k], found[k])] == []
    assert torch.equal(straight.sample(3, None, generator()), second.sample(3, None, generator()))


@pytest.mark.parametrize("method", METHODS)
def test_the_step_of_d_stops_before_g(build, method, monkeypatch):
    trainer = build(method)
    before = {k: v for k, v in parameters(trainer).items() if k.startswith("generator")}
    seen = []
    discriminate = trainer.discriminate
    noted = lambda real, fake: seen.append(fake) or discriminate(real, fake)  # noqa: E731
    monkeypatch.setattr(trainer, "discriminate", noted)
    monkeypatch.setattr(trainer, "update_generator", lambda loss, fake: loss.detach())
    train(trainer, 0, 1, total=1)
    assert seen and all(fake.is_leaf for fake in seen)
    assert all(p.grad is None for p in trainer.generator.parameters())
    assert all(torch.equal(v, parameters(trainer)[k]) for k, v in before.items())


class ConvolutionGradients(TorchDispatchMode):
    """Notes for each backward pass of a convolution whether it computed the weight's gradient."""

    def __init__(self):
        super().__init__()
        self.of_weights = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten.convolution_backward.default:
            self.of_weights.append((args[2].data_ptr(), args[-1][1]))
        return function(*args, **(kwargs or {}))


def test_the_step_of_g_computes_no_gradient_of_ds_weights(build):
    trainer = build("dcgan")
    train(trainer, 0, 1, total=2)
    before = {k: p.grad.clone() for k, p in trainer.discriminator.named_parameters()}
    weights = {
        name: {m.weight.data_ptr() for m in net.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))}
        for name, net in (("g", trainer.generator), ("d", trainer.discriminator))
    }
    fake = trainer.generator(trainer.training_latents(4))
    with ConvolutionGradients() as found:
        trainer.train_generator(images_at(0, 4), fake)
    of_g = [computed for weight, computed in found.of_weights if weight in weights["g"]]
    of_d = [computed for weight, computed in found.of_weights if weight in weights["d"]]
    assert of_g == [True] * 2 and of_d == [False] * 3  # G's first layer is a matrix product
    assert all(torch.equal(p.grad, before[k]) for k, p in trainer.discriminator.named_parameters())


def test_g_gets_the_same_gradient_as_from_one_backward_pass_through_both(build):
    trainer = build("sngan")
    trainer.discriminator.eval()  # the same power iterations in both
    fake = trainer.generator(trainer.training_latents(4))
    trainer.loss.generator(trainer.discriminator(fake), unasked).backward(retain_graph=True)
    expected = [p.grad.clone() for p in trainer.generator.parameters()]
    trainer.generator_optimizer.step = lambda: None
    trainer.train_generator(images_at(0, 4), fake)
    for parameter, gradient in zip(trainer.generator.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


@pytest.mark.parametrize(
    ("method", "options", "of_d"),
    [
        ("sngan", {}, 2),  # real and generated images together, then generated ones for G
        ("acgan", {"r1": 0.0}, 2),
        ("dcgan", {}, 3),  # batch norm: real and generated images apart
        ("sngan", {"r1": 1.0}, 3),  # no forward pass of its own for R1, only apart
        ("sngan", {"discriminator_steps": 3}, 4),
        ("sngan", {"gradient_penalty": 1.0}, 3),
        ("sngan", {"r1": 1.0, "r2": 1.0}, 3),
        ("sngan", {"loss": "relativistic"}, 3),  # real images once more, for G
        ("acgan", {"loss": "relativistic", "r1": 0.0}, 3),
    ],
)
def test_networks_run_no_more_often_than_the_method_needs(build, method, options, of_d):
    trainer, calls = build(method, **options), []
    for name in ("generator", "discriminator"):
        hook = lambda module, inputs, output, name=name: calls.append(name)  # noqa: E731
        getattr(trainer, name).module.register_forward_hook(hook)
    train(trainer, 0, 1, total=1)
    assert (calls.count("generator"), calls.count("discriminator")) == (1, of_d)


@pytest.mark.parametrize("method", ["dcgan", "acgan"])
def test_steps_of_d_share_the_batch(build, method, monkeypatch):
    trainer, seen = build(method, discriminator_steps=3), []
    discriminate = trainer.discriminate
    noted = lambda *images: seen.append(images) or discriminate(*images)  # noqa: E731
    monkeypatch.setattr(trainer, "discriminate", noted)
    train(trainer, 0, 1, total=1)
    real, fake = (torch.cat(part) for part in zip(*seen, strict=True))
    assert [len(r) for r, _ in seen] == [3, 3, 2]
    assert torch.equal(real, images_at(0))
    assert len(fake.flatten(1).unique(dim=0)) == 8


def test_a_batch_smaller_than_the_steps_of_d_is_a_clear_error(build):
    with pytest.raises(UserError, match="a batch of 2 cannot be shared by 3 steps") as error:
        train(build("dcgan", discriminator_steps=3), 0, 1, total=1, n=2)
    assert "batch_size" in error.value.help[0]


def test_g_learns_from_pairs_that_d_judges_now(build):
    """The relativistic loss of G is of the whole batch, real images in their order, no gradient to them."""
    trainer = build("dcgan", loss="relativistic", batch_norm=False, tanh_real=True)
    real, fake = images_at(0), trainer.generator(trainer.training_latents(8))
    logs = trainer.train_generator(real, fake)
    with torch.no_grad():
        of_real, of_fake = trainer.discriminator(real.tanh()), trainer.discriminator(fake)
    expected = nn.functional.softplus(of_real - of_fake).mean()
    torch.testing.assert_close(logs["loss/generator"], expected)
    assert not trainer.discriminate_real(real).requires_grad


def test_a_step_never_waits_for_the_device(build, monkeypatch):
    """Anything that fetches a value would: optimizers aside, which keep their own count on the CPU."""

    def fetched(*args, **kwargs):
        raise AssertionError("a value was fetched in a step")

    sgd = {"name": "sgd", "lr": 0.01}
    for method in METHODS:
        trainer = build(method, **EVERYTHING_RANDOM, generator_optimizer=sgd, discriminator_optimizer=sgd)
        batch = batch_at(0)
        with monkeypatch.context() as patch:
            for name in ("item", "tolist", "__bool__", "__float__", "__int__", "cpu", "numpy", "nonzero"):
                patch.setattr(torch.Tensor, name, fetched)
            trainer.step(batch, Progress(0, 2))


def test_both_learning_rates_follow_the_schedule(build):
    trainer = build("sagan", schedule={"name": "step_decay", "factor": 0.5, "every": 0.5})
    for step, factor in ((0, 1.0), (3, 0.5)):
        train(trainer, step, step + 1, total=4)
        assert trainer.generator_optimizer.param_groups[0]["lr"] == pytest.approx(1e-4 * factor)
        assert trainer.discriminator_optimizer.param_groups[0]["lr"] == pytest.approx(4e-4 * factor)


def test_the_memory_of_both_optimizers_follows_its_schedule(build):
    """1 - beta2 is halved halfway, and an optimizer without betas is left alone."""
    halved = {"name": "step_decay", "factor": 0.5, "every": 0.5}
    adam = {"name": "adam", "lr": 1e-4, "betas": (0.3, 0.9)}
    sgd = {"name": "sgd", "lr": 0.01}
    trainer = build("dcgan", beta2_schedule=halved, generator_optimizer=adam, discriminator_optimizer=sgd)
    for step, beta2 in ((0, 0.9), (1, 0.9), (2, 0.95), (3, 0.95)):
        train(trainer, step, step + 1, total=4)
        assert trainer.generator_optimizer.param_groups[0]["betas"] == (0.3, pytest.approx(beta2))
        assert "betas" not in trainer.discriminator_optimizer.param_groups[0]


@pytest.mark.parametrize("beta2", [0.999, 0.99, 0.9, 0.3, 0.0])
def test_a_constant_memory_is_the_option_s_to_the_bit(build, beta2):
    trainer = build("dcgan", generator_optimizer={"name": "adam", "betas": (0.5, beta2)})
    trainer.begin_step(Progress(0, 4))
    assert trainer.generator_optimizer.param_groups[0]["betas"] == (0.5, beta2)


def test_instance_noise_falls_evenly_to_nothing(build):
    trainer, blank = build("dcgan", instance_noise=0.8, instance_noise_until=0.5), torch.zeros(50, 3, 16, 16)
    for step, sigma in ((0, 0.8), (1, 0.4), (2, 0.0), (3, 0.0)):
        trainer.begin_step(Progress(step, 4))
        assert trainer.augment_for_d(blank).std().item() == pytest.approx(sigma, rel=0.02)


def test_real_images_can_take_one_more_tanh(build):
    real = images_at(0)
    for squashed in (True, False):
        trainer = build("dcgan", tanh_real=squashed)
        seen, _ = trainer.judged(real, real, Progress(0, 1))
        assert torch.equal(seen, real.tanh() if squashed else real)


@pytest.mark.parametrize("method", [*METHODS, "stylegan2_lite"])
def test_the_extra_tanh_is_undone_when_sampling(build, method):
    """A G that has learned squashed images makes images like the data, in [-1, 1] whatever it makes."""
    small = {"spec": spec_of(32), "latent_size": 8, "mapping_depth": 2, "attention_heads": 1, "width": 2}
    trainer = build(method, tanh_real=True, **(small if method == "stylegan2_lite" else {}))
    data = torch.linspace(-1, 1, 3 * 32 * 32).view(1, 3, 32, 32)
    trainer.ema.network = Constant(data.tanh())
    for made in (
        trainer.sample(2, None, generator()),
        trainer.generate(trainer.latents(2, generator()), None),
    ):
        torch.testing.assert_close(made, data.expand_as(made), atol=1e-5, rtol=0)
    trainer.ema.network = Constant(torch.tensor([-1.0, 0.9, 1.0]).view(1, 3, 1, 1))
    assert trainer.sample(1, None, generator()).flatten().tolist() == [-1, 1, 1]


class Constant(nn.Module):
    """A generator that makes the same image of everything."""

    def __init__(self, image):
        super().__init__()
        self.register_buffer("image", image)

    def forward(self, latents, *others):
        return self.image.expand(len(latents), -1, -1, -1)


def test_variety_is_told_of_images_that_were_squashed_alike(build, monkeypatch):
    seen = []
    for method, module in (("dcgan", "dcgan"), ("acgan", "conditional")):
        module = f"pluglab_gan.{module}.diversity"
        monkeypatch.setattr(module, lambda fake, real, *more: seen.append(real) or real.mean())
        train(build(method, tanh_real=True), 0, 1, total=1)
    assert all(torch.equal(real, images_at(0).tanh()) for real in seen) and len(seen) == 2


def test_what_d_sees_is_augmented_alike_for_real_and_generated_images_in_both_steps(build, monkeypatch):
    trainer, seen = build("dcgan", diff_augment=["color"]), []
    monkeypatch.setattr(
        base, "diff_augment", lambda images, policy: seen.append((len(images), policy)) or images
    )
    train(trainer, 0, 1, total=1)
    assert seen == [(8, ("color",))] * 3  # real and generated ones for D, generated ones for G


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_each_network_takes_any_optimizer_of_its_own(build, optimizer):
    trainer = build(
        "dcgan",
        generator_optimizer={"name": optimizer, "lr": 0.003, "weight_decay": 0.1},
        discriminator_optimizer={"name": "sgd", "lr": 0.5},
    )
    assert trainer.generator_optimizer.param_groups[0]["lr"] == 0.003
    assert trainer.generator_optimizer.param_groups[0]["weight_decay"] == 0.1
    assert trainer.discriminator_optimizer.param_groups[0]["lr"] == 0.5
    train(trainer, 0, 1, total=1)


# Sampling -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_what_evaluators_ask_for_is_there(build, method):
    trainer = build(method)
    for able in (Samples, Generates, HasNetworks, Diagnoses):
        assert can(trainer, able) and can(type(trainer), able)
    for wanted, able_ones in ((Classifies, ["acgan"]), (SamplesClasses, CONDITIONAL)):
        assert can(trainer, wanted) == can(type(trainer), wanted) == (method in able_ones)
    assert classes_of(trainer) == (10 if method in CONDITIONAL else 0)
    for network, inputs in trainer.networks().values():
        assert len(network.eval()(*inputs)) == 2


@pytest.mark.parametrize("method", METHODS)
def test_any_number_of_images_is_made_in_bounded_memory(build, method, monkeypatch):
    monkeypatch.setattr(f"pluglab_gan.{'conditional' if method in CONDITIONAL else 'base'}.CHUNK", 4)
    trainer, sizes = build(method), []
    trainer.ema.network.register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
    images = trainer.sample(10, None, generator())
    assert images.shape == (10, 3, 16, 16) and images.dtype == torch.float32
    assert images.min() >= -1 and images.max() <= 1
    assert sizes == [4, 4, 2]
    latents = trainer.latents(10, generator())
    torch.testing.assert_close(trainer.generate(latents, None), images)


@pytest.mark.parametrize("method", METHODS)
def test_samples_are_those_of_the_averaged_weights_and_of_their_generator(build, method):
    trainer = build(method)
    train(trainer, 0, 2, total=2)
    state = torch.get_rng_state()
    images = trainer.sample(3, None, generator())
    with torch.no_grad():
        for parameter in trainer.generator.parameters():
            parameter.zero_()
    assert torch.equal(trainer.sample(3, None, generator()), images)
    assert not torch.equal(trainer.sample(3, None, generator(1)), images)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_average_of_a_normalized_generator_stays_normalized(build):
    trainer = build("sagan", ema_half_life=50, generator_optimizer={"name": "adam", "lr": 0.01})
    train(trainer, 0, 12, total=12)
    for layer in trainer.ema.network.modules():
        if nn.utils.parametrize.is_parametrized(layer, "weight"):
            rows = layer.weight.transpose(0, 1).flatten(1)
            assert torch.linalg.svdvals(rows)[0].item() == pytest.approx(1, rel=0.1)


def test_uniform_latents_are_uniform_in_training_and_sampling(build):
    trainer = build("dcgan", latent_distribution="uniform")
    for latents in (trainer.training_latents(1000), trainer.latents(1000, generator())):
        assert latents.shape == (1000, 100)
        assert -1 <= latents.min() < -0.99 and 0.99 < latents.max() <= 1
        assert latents.std().item() == pytest.approx(3**-0.5, rel=0.01)


@pytest.mark.parametrize("method", CONDITIONAL)
def test_the_classes_asked_for_are_made_and_all_in_turn_if_none_are(build, method):
    trainer = build(method)
    latents = trainer.latents(12, generator())
    turn = torch.arange(12) % 10
    assert torch.equal(trainer.generate(latents, None), trainer.generate(latents, turn))
    assert not torch.equal(trainer.generate(latents, turn), trainer.generate(latents, turn.flip(0)))


def test_acgan_classifies_with_its_second_head(build):
    trainer = build("acgan")
    set_mode(trainer, "eval")
    images = images_at(0)
    assert torch.equal(trainer.predict(images, "train"), trainer.discriminator(images)[:, 1:])


def test_a_projection_is_psi_plus_a_product_with_the_class_s_vector(build):
    """Miyato and Koyama 2018, eq. 3, of each image as one of its own class."""
    network = build("projection_gan").discriminator.module.eval()
    for parameter in network.classes.parameters():
        nn.init.normal_(parameter)
    images, labels = images_at(0), torch.arange(8)
    features = network.trunk(images)
    vectors = network.classes.weight[labels]
    psi = (features @ network.score.weight.T)[:, 0] + network.score.bias
    found = of_classes(network(images), labels)
    torch.testing.assert_close(found, psi + (features * vectors).sum(1), rtol=1e-4, atol=1e-5)


def test_every_loss_of_a_projection_is_of_the_classes_asked_for(build):
    """With D(x, y) = y only its classes tell images apart: the hinge loss and R1 follow from the labels."""
    trainer = build("projection_gan", loss="hinge", gradient_penalty=1.0)
    trainer.discriminator = OfClass()
    trainer.update = lambda *args, **kwargs: None
    labels = torch.tensor([0, 1, 2, 3])
    figures = trainer.train_discriminator(images_at(0, 4), images_at(1, 4), labels, Progress(0, 2))
    assert figures["training/real_score"].item() == pytest.approx(1.5, abs=1e-5)
    assert figures["loss/discriminator"].item() == pytest.approx(0.25 + 2.5, abs=1e-5)
    # d(x, y) = y + 0.01 y sum x, whose gradient is 0.01 y everywhere: its length squared, over 768 numbers
    squares = (0.01 * labels).square() * 768
    assert figures["loss/r1"].item() == pytest.approx(squares.mean().item() / 2, rel=1e-4)
    assert figures["loss/r2"].item() == pytest.approx(squares.mean().item() / 2, rel=1e-4)
    lengths = (squares.sqrt() - 1).square().mean()
    assert figures["loss/gradient_penalty"].item() == pytest.approx(lengths.item(), rel=1e-3)


class OfClass(nn.Module):
    """Scores images as ones of class k: k + 0.01 k times their sum, counted from the images' own."""

    def forward(self, images):
        classes = torch.arange(10.0)
        total = images.flatten(1).sum(1, keepdim=True)
        return classes + 0.01 * classes * (total - total.detach())


def test_acgan_learns_to_make_what_is_asked_for(build):
    """Two classes, dark and light images: from the same noise the one asked for comes."""
    fast = {"name": "adam", "lr": 0.004, "betas": (0.5, 0.99)}
    options = {"generator_optimizer": fast, "discriminator_optimizer": fast, "ema_half_life": 200}
    trainer = build("acgan", spec=spec_of(classes=("dark", "light")), **options)
    for step in range(60):
        torch.manual_seed(step)
        labels = torch.arange(16) % 2
        images = 0.2 * images_at(step, n=16) + (labels - 0.5)[:, None, None, None]
        trainer.step({"train": Batch(images, labels)}, Progress(step, 60))
    latents = trainer.latents(20, generator())
    dark, light = (trainer.generate(latents, torch.full((20,), label)).mean((1, 2, 3)) for label in (0, 1))
    assert (light - dark > 0.5).float().mean() > 0.9


@pytest.mark.parametrize("method", CONDITIONAL)
def test_data_without_labels_is_told_before_training(registry, method):
    with pytest.raises(UserError, match=f"'{method}' .* this data has no classes") as error:
        make(registry, "trainer", method).build({"train": replace(spec_of(), classes=None)})
    assert "labeled" in error.value.help[0]


# Health -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scalar", "value", "words"),
    [
        ("loss/discriminator", 0.002, "saturated"),
        ("training/generator_gradient", 1e-6, "vanishes"),
        ("training/diversity", 0.05, "collapses"),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_what_goes_wrong_is_said_with_a_remedy(build, method, scalar, value, words):
    trainer = build(method)
    figures = {k: v.item() for k, v in train(trainer, 300, 301, total=900).items()}
    healthy = {**figures, "loss/discriminator": 1.0, "training/diversity": 0.7}
    assert trainer.diagnose(healthy) == []
    assert scalar in figures
    (message,) = trainer.diagnose({**healthy, scalar: value})
    assert words in message and f"{value:.2g}" in message and ";" in message


def test_a_generator_that_has_just_started_has_not_collapsed(build):
    trainer = build("dcgan")
    for step, total, told in [(2, 3, 0), (99, 100, 0), (299, 9000, 0), (300, 9000, 1), (300, 400, 1)]:
        trainer.begin_step(Progress(step, total))
        assert len(trainer.diagnose({"training/diversity": 0.0})) == told, (step, total)


def test_a_negative_wasserstein_loss_is_not_saturation(build):
    assert build("dcgan", loss="wasserstein").diagnose({"loss/discriminator": -3.0}) == []


def test_diversity_is_the_ratio_of_deviations_over_the_batch():
    real = images_at(0, n=64)
    assert diversity(real, real).item() == pytest.approx(1)
    assert diversity(real / 2 + 0.1, real).item() == pytest.approx(0.5)
    assert diversity(real[:1].expand_as(real), real).item() == pytest.approx(0, abs=1e-6)


def test_diversity_within_classes_does_not_see_that_the_classes_differ():
    labels = torch.arange(60) % 3
    real = images_at(0, n=60)
    prototypes = real[:3][labels]
    assert diversity(prototypes, real).item() > 0.5
    assert diversity(prototypes, real, labels, 3).item() == pytest.approx(0, abs=1e-3)
    assert diversity(prototypes + real / 2, real, labels, 3).item() == pytest.approx(0.5, rel=1e-3)


def test_the_gradient_at_an_image_is_that_of_its_own_loss(build):
    """G's loss -d of a linear d(x) = w.x has a gradient of length |w| at each image, whatever the batch."""
    trainer, w = build("dcgan", loss="hinge"), torch.randn(3 * 16 * 16)
    for n in (2, 8):
        fake = trainer.generator(trainer.training_latents(n))
        loss = trainer.loss.generator(fake.flatten(1) @ w, unasked)
        assert trainer.update_generator(loss, fake).item() == pytest.approx(w.norm().item(), rel=1e-4)
