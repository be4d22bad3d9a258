"""The trainer: what a step descends, what it learns, what evaluators may ask of it."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from pluglab.capabilities import Embeds, Generates, HasNetworks, Reconstructs, Samples, can
from pluglab.data import Images, to_float
from pluglab.errors import UserError
from pluglab.protocols import Batch, ImageSpec, Progress
from pluglab.recipe.resolve import make
from pluglab.training import modules_of, set_mode
from pluglab_autoencoder.capabilities import TraversesLatents, WeighsImportance
from pluglab_autoencoder.objectives import importance_weighted_bound
from tests.evaluation import role_data

from .conftest import SMALL, batch_at, pixels_at, spec_of, train


def state(trainer) -> dict[str, torch.Tensor]:
    modules = modules_of(trainer).items()
    return {f"{name}.{k}": v.clone() for name, module in modules for k, v in module.state_dict().items()}


def test_it_has_the_capabilities_that_evaluators_need(build) -> None:
    trainer = build(spec=spec_of(16, 3))
    for capability in (
        Embeds, HasNetworks, Reconstructs, Samples, Generates, TraversesLatents, WeighsImportance,
    ):  # fmt: skip
        assert can(trainer, capability) and can(type(trainer), capability)
    set_mode(trainer, "eval")
    images = torch.rand(5, 3, 16, 16) * 2 - 1
    assert trainer.embed(images, "train").shape == (5, 4)
    assert torch.equal(trainer.embed(images, "train"), trainer.posterior(images)[0])
    assert trainer.reconstruct(images, "train").shape == images.shape
    for network, inputs in trainer.networks().values():
        assert len(network(*inputs)[0]) == 2


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
@pytest.mark.parametrize(("beta", "free"), [(1.0, 0.0), (4.0, 0.3)])
def test_a_step_descends_the_negative_bound(build, monkeypatch, likelihood: str, beta: float, free: float):
    """-E_q log p(x|z) + beta sum_j max(free, mean KL_j), in nats a value, from torch's distributions."""
    trainer = build(likelihood=likelihood, beta=beta, free_bits=free, warmup=0.5)
    descended = []
    monkeypatch.setattr(trainer, "update", lambda optimizer, loss: descended.append(loss.detach()))
    set_mode(trainer, "eval")  # so that the batch's statistics do not differ between the two passes
    torch.manual_seed(1)
    figures = trainer.step(batch_at(0), Progress(25, 100))

    images = batch_at(0)["train"].images
    mean, log_variance = trainer.encoder(images)
    posterior = Normal(mean, (log_variance / 2).exp())
    torch.manual_seed(1)
    drawn = trainer.decoder(posterior.rsample())
    if likelihood == "gaussian":
        log_prob = Normal(drawn[0], (drawn[1] / 2).exp()).log_prob((images + 1) / 2)
    else:
        log_prob = -nn.functional.binary_cross_entropy_with_logits(
            drawn[0], (images + 1) / 2, reduction="none"
        )
    reconstruction = -log_prob.sum() / len(images)
    kl = kl_divergence(posterior, Normal(0.0, 1.0)).mean(0)
    expected = (reconstruction + 0.5 * beta * kl.clamp_min(free).sum()) / 64
    torch.testing.assert_close(descended[0], expected)
    torch.testing.assert_close(figures["loss/reconstruction"], reconstruction)
    torch.testing.assert_close(figures["loss/kl"], kl.sum())


def test_the_weight_of_the_kl_term_warms_up(build) -> None:
    now = [Progress(step, 20) for step in (0, 5, 10, 18)]
    assert [build(beta=2.0, warmup=0.5).beta(progress) for progress in now] == [0, 1, 2, 2]
    assert all(progress.total_was_read for progress in now)
    start = Progress(0, 20)
    assert build(beta=2.0, warmup=0.0).beta(start) == 2 and not start.total_was_read


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_it_trains_everything_and_its_figures_are_detached_scalars(build, likelihood: str) -> None:
    trainer = build(likelihood=likelihood)
    before = state(trainer)
    figures = train(trainer, 1, 4, total=4)
    assert all(f.ndim == 0 and not f.requires_grad and f.isfinite() for f in figures.values())
    assert not [k for k, v in state(trainer).items() if torch.equal(v, before[k])]


def test_it_learns_to_reconstruct_what_it_has_not_seen(build) -> None:
    """Squares at 25 places: an average image has an error of their variance, about 0.17 in [0, 1]."""
    trainer = build(optimizer={"name": "adam", "lr": 1e-2})
    train(trainer, 0, 250, total=250)
    set_mode(trainer, "eval")
    images = to_float(pixels_at(1000, 200))
    error = (trainer.reconstruct(images, "train") - images).square().mean().item() / 4
    assert error < 0.25 * images.var(0).mean().item() / 4


@pytest.mark.parametrize("stop", [1, 3])
def test_a_resumed_run_ends_with_the_same_bits(build, stop: int) -> None:
    straight = build()
    train(straight, 0, 4, total=4)
    first = build()
    train(first, 0, stop, total=4)
    second = build(seed=1)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    train(second, stop, 4, total=4)
    expected, found = state(straight), state(second)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[k], found[k]) for k in expected)


def test_samples_depend_on_their_generator_alone_and_come_in_any_number(build) -> None:
    trainer = build()
    set_mode(trainer, "eval")
    torch.manual_seed(1)
    first = trainer.sample(300, None, torch.Generator().manual_seed(5))
    torch.manual_seed(2)
    assert torch.equal(first, trainer.sample(300, None, torch.Generator().manual_seed(5)))
    assert not torch.equal(first, trainer.sample(300, None, torch.Generator().manual_seed(6)))
    assert first.shape == (300, 1, 8, 8)
    assert first.abs().max() <= 1
    latents = trainer.latents(20_000, torch.Generator().manual_seed(0))
    assert latents.mean().item() == pytest.approx(0, abs=0.02)
    assert latents.std().item() == pytest.approx(1, abs=0.02)


# A linear decoder, for which log p(x) is known ---------------------------------------------------------


class Constant(nn.Module):
    """The same function whatever the training does."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


@pytest.fixture
def linear(build):
    """p(x|z) = N(Wz + b, 0.5^2) with orthogonal columns of W, so that p(x) = N(b, W W^T + 0.25) and the exact
    posterior is diagonal. `spread` widens q from it."""
    generator = torch.Generator().manual_seed(0)
    columns = torch.linalg.qr(torch.randn(64, 4, generator=generator)).Q
    w, b = columns * torch.tensor([3.0, 2.0, 1.0, 0.5]), torch.randn(64, generator=generator)
    precision = 1 + w.square().sum(0) / 0.25
    exact = MultivariateNormal(b, w @ w.T + 0.25 * torch.eye(64))
    images = exact.sample((40,))

    def made(spread: float):
        trainer = build(latent_size=4)
        variance = (spread / precision).log()

        def encode(x):
            values = (x.flatten(1) + 1) / 2 - b
            return values @ w / 0.25 / precision, variance.expand(len(x), -1)

        trainer.encoder = Constant(encode)
        log_variance = torch.tensor(0.25).log()
        trainer.decoder = Constant(lambda z: ((z @ w.T + b).view(-1, 1, 8, 8), log_variance))
        return trainer

    return SimpleNamespace(made=made, x=images.view(-1, 1, 8, 8) * 2 - 1, log_p=exact.log_prob(images))


def test_the_weights_of_the_exact_posterior_are_the_likelihood(linear) -> None:
    weights = linear.made(1.0).log_weights(linear.x, 3)
    torch.testing.assert_close(weights, linear.log_p[:, None].expand(-1, 3), atol=1e-3, rtol=0)


def test_the_bound_lies_below_the_likelihood_and_reaches_it_with_more_samples(linear) -> None:
    """With q of twice the variance the evidence lower bound misses log p by KL(q || exact posterior) =
    4/2 (2 - 1 - log 2) = 0.614 nats."""
    torch.manual_seed(0)
    weights = linear.made(2.0).log_weights(linear.x, 2048)
    gaps = [
        (linear.log_p - importance_weighted_bound(weights.view(40, -1, k).flatten(0, 1)).view(40, -1).mean(1))
        .mean()
        .item()
        for k in (1, 8, 64, 2048)
    ]
    assert gaps[0] == pytest.approx(0.614, abs=0.03)
    assert gaps[0] > gaps[1] > gaps[2] > gaps[3]
    assert gaps[3] == pytest.approx(0, abs=0.01)


def test_the_evaluator_reports_it_in_nats_and_bits(linear, evaluator, data, context) -> None:
    found = evaluator("importance_weighted_likelihood", samples=5, images=30).evaluate(
        linear.made(1.0), data, context
    )
    nats = found.scalars["log_likelihood_k5/train"]
    assert found.scalars["elbo/train"] == pytest.approx(nats, abs=1e-3)  # the posterior is exact
    bits = found.scalars["bits_per_dim_k5/train"]
    assert bits == pytest.approx(8 - nats / 64 / torch.tensor(2.0).log().item(), rel=1e-5)
    assert found.headline == ("bits_per_dim_k5/train",)


def test_the_evaluator_s_bound_does_not_depend_on_its_batches(linear, evaluator, data, context) -> None:
    """An exact posterior has the same weight in every sample, so that every division must agree."""
    scalars = [
        evaluator("importance_weighted_likelihood", samples=7, images=30, batch_size=size)
        .evaluate(linear.made(1.0), data, context)
        .scalars["log_likelihood_k7/train"]
        for size in (3, 7, 16, 1000)
    ]
    assert scalars == pytest.approx([scalars[0]] * 4, abs=1e-2)


def test_bernoulli_likelihoods_are_probabilities_already(build) -> None:
    assert build(likelihood="bernoulli").level_bits == 0
    assert build().level_bits == 8


# Traversals ---------------------------------------------------------------------------------------------


class Corners:
    """The first three pixels are the posterior means, of ever larger spread; the fourth says nothing."""

    def posterior(self, images):
        pixels = images.flatten(1)[:, 27:31] * torch.tensor([1.0, 2.0, 3.0, 0.0])
        return pixels, torch.zeros_like(pixels)

    def generate(self, latents, labels):
        return (latents / 3)[:, :1, None, None].expand(-1, 1, 8, 8)


def test_a_traversal_shows_the_dimensions_that_carry_most(evaluator, data, context) -> None:
    found = evaluator("latent_traversal", rows=3, columns=5, pictures=2).evaluate(Corners(), data, context)
    assert found.scalars == {"active_dimensions/train": 3}
    assert set(found.figures) == {"train_1", "train_2"}
    picture = found.figures["train_1"].array
    assert picture.dtype.name == "uint8"
    assert picture.ndim == 3
    # Dimension 0 carries least of the three, so its row is the last: it alone changes what is drawn.
    height = picture.shape[0] // 3
    first, last = (picture[int((i + 0.5) * height), [-690, -30], 0].astype(int) for i in (0, 2))
    assert last.tolist() == [0, 255]
    assert first[0] == first[1]


def test_traversed_moves_one_dimension_at_a_time() -> None:
    from pluglab_autoencoder.traversal import traversed

    moved = traversed(torch.tensor([0.1, 0.2, 0.3]), [2, 0], torch.tensor([-1.0, 1.0]))
    expected = [[0.1, 0.2, -1.0], [0.1, 0.2, 1.0], [-1.0, 0.2, 0.3], [1.0, 0.2, 0.3]]
    torch.testing.assert_close(moved, torch.tensor(expected))


# Bad input ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"beta": -1}, "beta"),
        ({"warmup": 2}, "warmup"),
        ({"free_bits": -0.1}, "free_bits"),
        ({"latent_size": 0}, "latent_size"),
        ({"likelihood": {"name": "gaussian", "deviation": 0}}, "deviation"),
        ({"likelihood": "gausian"}, "gausian"),
        ({"networks": {"name": "convolutional", "encoder_channels": []}}, "encoder_channels"),
    ],
)
def test_wrong_options_are_told_by_name(registry, options, word: str) -> None:
    with pytest.raises(UserError, match=word):
        make(registry, "trainer", "vae", **options)


@pytest.mark.parametrize(
    "shape", [(2, 16, 16), (4, 31, 31), (3, 16, 24), (1, 24, 16), (3, 7, 9), (1, 1, 1)], ids=str
)
def test_every_shape_is_trained_on_and_drawn_or_refused(build, evaluator, context, shape) -> None:
    """Squares of any number of channels, pictures of latents included."""
    channels, height, width = shape
    spec = ImageSpec(channels, height, width, 60)
    options = {"networks": {**SMALL, "encoder_channels": [8, 8, 8], "decoder_channels": [8, 8, 8]}}
    if height != width or height < 8:
        with pytest.raises(UserError, match=f"cannot take images of {height} x {width}: it wants squares"):
            build(spec=spec, **options)
        return
    trainer = build(spec=spec, **options)
    pixels = torch.randint(256, (60, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    figures = trainer.step({"train": Batch(to_float(pixels[:8]), None)}, Progress(0, 2))
    assert all(figure.isfinite() for figure in figures.values())
    set_mode(trainer, "eval")
    made = trainer.sample(3, None, torch.Generator().manual_seed(0))
    assert made.shape == (3, *shape) and made.abs().max() <= 1
    one = evaluator("latent_traversal", pictures=1, rows=2, columns=3, images=10)
    with torch.no_grad():
        found = one.evaluate(trainer, role_data({"train": Images(pixels)}), context)
    assert found.figures["train_1"].array.shape[2] == 3


def test_images_that_are_too_large_are_refused_when_the_trainer_is_made(registry) -> None:
    with pytest.raises(UserError, match="squares of 8 to"):
        make(registry, "trainer", "vae").build({"train": spec_of(128)})
