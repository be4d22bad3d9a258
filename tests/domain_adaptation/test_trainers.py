from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from pluglab.capabilities import Classifies, Embeds, HasNetworks, can
from pluglab.data import Images
from pluglab.errors import UserError
from pluglab.protocols import Progress
from pluglab.recipe.resolve import make
from pluglab.training import modules_of, set_mode
from pluglab_domain_adaptation.losses import domain_labels, domain_loss
from pluglab_domain_adaptation.networks import DomainBatchNorm
from tests.evaluation import role_data

from .conftest import batch_at, spec_of, train

METHODS = ["source_only", "target_only", "adabn", "dann", "dsn", "adda"]
ADAPTIVE = ["dann", "dsn", "adda"]
ENCODERS = ["dann_i", "dann_ii", "dann_iii", "modern", "lenet", "dsn_paper"]


def state(trainer) -> dict[str, torch.Tensor]:
    parts = {name: part for name, part in trainer.state_dict().items() if isinstance(part, dict)}
    tensors = {f"{n}.{k}": t for n, part in parts.items() if "optimizer" not in n for k, t in part.items()}
    return {name: tensor.clone() for name, tensor in tensors.items()}


def weights(trainer) -> dict[str, torch.Tensor]:
    """The parameters alone, without running statistics."""
    modules = modules_of(trainer).items()
    return {f"{name}.{k}": p.detach().clone() for name, m in modules for k, p in m.named_parameters()}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_the_capabilities_that_evaluators_need(build, method):
    trainer = build(method)
    for able in (Classifies, Embeds, HasNetworks):
        assert can(trainer, able) and can(type(trainer), able)
    set_mode(trainer, "eval")
    for role in ("source", "target"):
        images = torch.rand(5, 3, 16, 16)
        assert trainer.predict(images, role).shape == (5, 10)
        assert trainer.embed(images, role).shape == (5, 512)


@pytest.mark.parametrize("method", METHODS)
def test_networks_come_with_inputs_that_they_take(build, method):
    for network, inputs in build(method).networks().values():
        assert len(network.eval()(*inputs)) == 2


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_every_network_of_every_encoder(build, method, encoder):
    trainer = build(method, encoder=encoder)
    before = weights(trainer)
    figures = train(trainer, 1, 3, total=4)
    assert all(f.ndim == 0 and not f.requires_grad and f.isfinite() for f in figures.values())
    after = weights(trainer)
    still = [k for k in before if torch.equal(before[k], after[k])]
    assert not still, still


@pytest.mark.parametrize("stop", [1, 2, 3])
@pytest.mark.parametrize("method", METHODS)
def test_a_resumed_run_ends_with_the_same_bits(build, method, stop):
    """ADDA changes its phase at step 2, so it is stopped before, at and after the change."""
    straight = build(method)
    train(straight, 0, 4, total=4)
    first = build(method)
    train(first, 0, stop, total=4)
    second = build(method, seed=1)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    train(second, stop, 4, total=4)
    expected, found = state(straight), state(second)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[k], found[k]) for k in expected)


@pytest.mark.parametrize("method", ADAPTIVE)
def test_the_target_is_read_without_its_labels(build, method):
    trainer = build(method)
    assert {role.name: role.labels for role in trainer.roles} == {"source": "required", "target": "hidden"}
    batch = batch_at(0)
    assert batch["target"].labels is None
    trainer.step(batch, Progress(0, 2))


def test_per_domain_statistics_are_used_in_prediction_and_joint_ones_are_not(build):
    images = batch_at(0)["target"].images
    differs = {}
    for statistics in ("joint", "per_domain"):
        trainer = build("dann", batch_norm=statistics, encoder="dann_ii")
        train(trainer, 0, 3, total=4)
        set_mode(trainer, "eval")
        differs[statistics] = not torch.equal(
            trainer.predict(images, "source"), trainer.predict(images, "target")
        )
    assert differs == {"joint": False, "per_domain": True}


def test_adabn_learns_as_source_only_and_knows_the_targets_statistics(build):
    """The same weights as without a target, and in the first batch norm the mean of its inputs there."""
    plain, adapted = build("source_only"), build("adabn", estimation=1.0)
    train(plain, 0, 1, total=1), train(adapted, 0, 1, total=1)
    assert all(map(torch.equal, weights(plain).values(), weights(adapted).values()))
    norm = next(m for m in adapted.features.modules() if isinstance(m, DomainBatchNorm))
    first = next(m for m in adapted.features.modules() if isinstance(m, torch.nn.Conv2d))
    for side, role in ((norm.source, "source"), (norm.target, "target")):
        seen = 0.1 * first(batch_at(0)[role].images).mean((0, 2, 3))
        torch.testing.assert_close(side.running_mean, seen, atol=2e-3, rtol=1e-2)


def test_adabn_predicts_with_the_sources_statistics_until_it_knows_the_targets(build):
    """A checkpoint may be picked before the end, where the target's are still those of no image."""
    trainer, images = build("adabn", estimation=0.25), batch_at(0)["target"].images
    same = []
    for stop in (3, 4):
        train(trainer, stop - 3 if stop == 3 else 3, stop, total=4)
        set_mode(trainer, "eval")
        same.append(torch.equal(trainer.predict(images, "target"), trainer.predict(images, "source")))
        set_mode(trainer, "train")
    assert same == [True, False]


def test_the_features_climb_the_domain_loss_that_the_discriminator_descends(build):
    """With the class loss off, one step of the whole must raise the discriminator's loss through the
    features: the gradient of the features is the plain one times -lambda w."""
    gradients = []
    for weight in (0.0, 1.0):
        trainer = build("dann", domain_weight=weight, adaptation="constant", batch_norm="joint")
        trainer.optimizer.step = lambda *a, **k: None
        torch.manual_seed(0)
        trainer.step(batch_at(0), Progress(0, 1))
        gradients.append([p.grad.clone() for p in trainer.features.parameters()])
    torch.manual_seed(0)
    trainer.optimizer.zero_grad()
    batch = batch_at(0)
    x = torch.cat([batch["source"].images, batch["target"].images])
    domain_loss(trainer.discriminator(trainer.features(x, "both")), domain_labels(16, x.device)).backward()
    for none, full, p in zip(*gradients, trainer.features.parameters(), strict=True):
        torch.testing.assert_close(full - none, -p.grad, rtol=1e-3, atol=1e-6)


def test_the_adaptation_factor_starts_at_zero(build):
    """At p = 0 lambda is 0, so the features move as if there were no discriminator."""
    found = []
    for weight in (0.0, 1.0):
        trainer = build("dann", domain_weight=weight)
        train(trainer, 0, 1, total=10)
        found.append({k: v for k, v in weights(trainer).items() if k.startswith("features")})
    assert all(torch.equal(found[0][k], found[1][k]) for k in found[0])


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        (spec_of(28), spec_of(32), "source has images of 3 x 28 x 28, target of 3 x 32 x 32"),
        (spec_of(channels=1), spec_of(), "source has images of 1 x 28 x 28"),
        (spec_of(classes=None), spec_of(), "source has no classes"),
    ],
)
def test_domains_that_do_not_fit_together_are_a_clear_error(registry, source, target, words):
    with pytest.raises(UserError, match=words) as error:
        make(registry, "trainer", "dann").build({"source": source, "target": target})
    assert error.value.help


def test_classes_of_the_target_that_the_source_lacks_are_refused_with_the_data():
    pixels = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
    source, target = Images(pixels, classes=("a", "b")), Images(pixels, classes=("b", "c"))
    with pytest.raises(UserError, match="'target' has the classes c, which the labels to learn from lack"):
        role_data({"source": source, "target": target})


def test_a_target_that_declares_no_classes_is_fine(registry):
    unlabeled = replace(spec_of(), classes=None)
    assert make(registry, "trainer", "dann").build({"source": spec_of(), "target": unlabeled})
