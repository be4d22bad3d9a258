"""One step of Deep CORAL, CDAN, MCD, PADA, SHOT, and DSN with MMD, held against a loss written out here."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from pluglab.protocols import Batch, Progress
from pluglab.training import set_mode
from pluglab_domain_adaptation import losses
from pluglab_domain_adaptation.cdan import RandomSums, certainty

from .conftest import batch_at, train
from .test_newer_losses import GOLDENS, given

# No batch norm, no dropout, no smoothing: the loss can be written out.
PLAIN = {"encoder": "dsn_paper", "label_smoothing": 0.0}


def parts(trainer) -> tuple[torch.Tensor, ...]:
    """Source images, their labels, target images, and the features of both."""
    batch = batch_at(0)
    source, target, labels = batch["source"].images, batch["target"].images, batch["source"].labels
    assert labels is not None
    return source, labels, target, trainer.features(torch.cat([source, target]), "both")


def gradients_of_a_step(trainer, *names: str, progress: Progress) -> dict[str, list[torch.Tensor]]:
    """What the networks' parameters have as gradients when they step."""
    trainer.optimizer.step = lambda *a, **k: None
    trainer.step(batch_at(0), progress)
    return {name: [p.grad.clone() for p in getattr(trainer, name).parameters()] for name in names}


def expect(found: dict[str, list[torch.Tensor]], trainer, name: str, loss: torch.Tensor) -> None:
    parameters = list(getattr(trainer, name).parameters())
    expected = torch.autograd.grad(loss, parameters, retain_graph=True)
    for grad, wanted in zip(found[name], expected, strict=True):
        torch.testing.assert_close(grad, wanted, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("layer", ["logits", "features"])
def test_deep_coral_descends_class_and_coral_loss(build, layer: str) -> None:
    trainer = build("deep_coral", **PLAIN, coral_weight=1e4, layer=layer)
    names = "features", "classifier"
    found = gradients_of_a_step(trainer, *names, progress=Progress(1, 4))
    _, labels, _, features = parts(trainer)
    logits = trainer.classifier(features, "both")
    aligned = logits if layer == "logits" else features
    loss = F.cross_entropy(logits[:8], labels) + 1e4 * losses.coral_loss(aligned[:8], aligned[8:])
    for name in names:
        expect(found, trainer, name, loss)


@pytest.mark.parametrize("conditioned", [True, False])
@pytest.mark.parametrize("largest", [4096, 10])
def test_cdan_plays_against_a_discriminator_of_features_and_classes(build, conditioned, largest) -> None:
    options = {"entropy_conditioning": conditioned, "largest_product": largest, "random_sums": 64}
    trainer = build("cdan", **PLAIN, **options, domain_weight=0.7, adaptation="constant")
    assert isinstance(trainer.discriminator.conditioning, RandomSums) == (largest == 10)
    names = "features", "classifier", "discriminator"
    found = gradients_of_a_step(trainer, *names, progress=Progress(1, 4))
    _, labels, _, features = parts(trainer)
    logits = trainer.classifier(features, "both")
    fixed = logits.detach()  # no gradient goes through the classifier's half of the product
    domains = trainer.discriminator(features, fixed.softmax(1))
    each = F.cross_entropy(domains, losses.domain_labels(16, fixed.device), reduction="none")
    domain = (certainty(fixed) * each).mean() if conditioned else each.mean()
    class_loss = F.cross_entropy(logits[:8], labels)
    expect(found, trainer, "features", class_loss - 0.7 * domain)
    expect(found, trainer, "classifier", class_loss)
    expect(found, trainer, "discriminator", 0.7 * domain)


def test_the_random_sums_of_cdan_are_saved_with_it(build) -> None:
    first, second = (build("cdan", seed=seed) for seed in (0, 1))
    sums = [trainer.discriminator.conditioning.of_features for trainer in (first, second)]
    assert not torch.equal(*sums)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert torch.equal(sums[0], second.discriminator.conditioning.of_features)


def moved(trainer, action) -> dict[str, bool]:
    """Which networks an action changes."""
    names = "features", "classifier", "second_classifier"
    before = {name: [p.clone() for p in getattr(trainer, name).parameters()] for name in names}
    action()
    return {
        name: not all(
            torch.equal(a, b) for a, b in zip(old, getattr(trainer, name).parameters(), strict=True)
        )
        for name, old in before.items()
    }


def discrepancy(trainer) -> float:
    _, _, _, features = parts(trainer)
    pair = trainer.classifier(features, "both")[8:], trainer.second_classifier(features, "both")[8:]
    return losses.classifier_discrepancy(*pair).item()


SLOW = {"optimizer": {"name": "sgd", "lr": 1e-3, "momentum": 0.0}, "schedule": "constant"}


def test_the_three_steps_of_mcd_move_what_they_are_to_move(build) -> None:
    trainer = build("mcd", **PLAIN, **SLOW, discrepancy_weight=10.0)
    batch, progress = batch_at(0), Progress(1, 4)
    images = batch["source"].images, batch["source"].labels, batch["target"].images
    every = {"features": True, "classifier": True, "second_classifier": True}
    assert moved(trainer, lambda: trainer.learn(*images, progress)) == every
    before = discrepancy(trainer)
    apart = moved(trainer, lambda: trainer.disagree(*images))
    assert apart == {**every, "features": False}
    after = discrepancy(trainer)
    assert after > before
    together = moved(trainer, lambda: trainer.agree(images[0], images[2]))
    assert together == {"features": True, "classifier": False, "second_classifier": False}
    assert discrepancy(trainer) < after


def test_step_a_of_mcd_descends_the_class_losses_of_both_classifiers(build) -> None:
    """Both optimizers step down the same loss, at the weights of before."""
    rate = 0.1
    options = {"optimizer": {"name": "sgd", "lr": rate, "momentum": 0.0}, "schedule": "constant"}
    trainer = build("mcd", **PLAIN, **options)
    batch = batch_at(0)
    _, labels, target, features = parts(trainer)
    pair = trainer.classifier(features, "both"), trainer.second_classifier(features, "both")
    loss = torch.stack([F.cross_entropy(logits[:8], labels) for logits in pair]).sum()
    names = "features", "classifier", "second_classifier"
    wanted = {}
    for name in names:
        parameters = list(getattr(trainer, name).parameters())
        slopes = torch.autograd.grad(loss, parameters, retain_graph=True)
        wanted[name] = [p.detach() - rate * g for p, g in zip(parameters, slopes, strict=True)]
    trainer.learn(batch["source"].images, labels, target, Progress(1, 4))
    for name in names:
        for p, expected in zip(getattr(trainer, name).parameters(), wanted[name], strict=True):
            torch.testing.assert_close(p.detach(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 4])
def test_mcd_takes_as_many_feature_steps_as_asked(build, steps: int) -> None:
    trainer, taken = build("mcd", feature_steps=steps), []
    agree = trainer.agree
    trainer.agree = lambda *images: (taken.append(1), agree(*images))[1]
    train(trainer, 1, 2, total=4)
    assert len(taken) == steps


def test_mcd_predicts_by_both_classifiers(build) -> None:
    trainer, images = build("mcd"), batch_at(0)["target"].images
    set_mode(trainer, "eval")
    features = trainer.embed(images, "target")
    pair = trainer.classifier(features, "target"), trainer.second_classifier(features, "target")
    torch.testing.assert_close(trainer.predict(images, "target"), (pair[0] + pair[1]) / 2)


def test_dsn_with_mmd_has_no_discriminator_and_descends_the_mmd(build) -> None:
    options = {"alpha": 0.0, "beta": 0.0, "gamma": 0.7, "similarity": "mmd", "active_from": 0.0}
    trainer = build("dsn", **PLAIN, **options)
    assert not hasattr(trainer, "discriminator")
    assert "discriminator" not in trainer.networks()
    found = gradients_of_a_step(trainer, "features", progress=Progress(1, 4))
    _, labels, _, features = parts(trainer)
    class_loss = F.cross_entropy(trainer.classifier(features, "both")[:8], labels)
    expect(found, trainer, "features", class_loss + 0.7 * losses.mmd(features[:8], features[8:]))


def test_dsn_with_mmd_resumes_with_the_same_bits(build) -> None:
    straight, first, second = (build("dsn", seed=s, similarity="mmd") for s in (0, 0, 1))
    train(straight, 0, 4, total=4)
    train(first, 0, 2, total=4)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    train(second, 2, 4, total=4)
    pairs = zip(straight.features.parameters(), second.features.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_pada_weighs_source_images_by_what_is_predicted_for_the_target(build) -> None:
    trainer = build("pada", **PLAIN, domain_weight=0.7, adaptation="constant", memory=0.5)
    names = "features", "classifier", "discriminator"
    found = gradients_of_a_step(trainer, *names, progress=Progress(1, 4))
    _, labels, _, features = parts(trainer)
    logits = trainer.classifier(features, "both")
    predicted = 0.5 / 10 + 0.5 * logits[8:].detach().softmax(1).mean(0)
    weights = (predicted / predicted.max())[labels]
    domains = F.cross_entropy(
        trainer.discriminator(features), losses.domain_labels(16, logits.device), reduction="none"
    )
    domain = (torch.cat([weights, torch.ones(8)]) * domains).mean()
    class_loss = (weights * F.cross_entropy(logits[:8], labels, reduction="none")).mean()
    expect(found, trainer, "features", class_loss - 0.7 * domain)
    expect(found, trainer, "discriminator", 0.7 * domain)


def test_pada_is_dann_while_every_class_is_predicted_alike(build) -> None:
    """Within rounding: with all of the memory kept, no class weight leaves 1."""
    found = []
    for name, options in (("dann", {}), ("pada", {"memory": 1 - 1e-12})):
        trainer = build(name, **PLAIN, **options)
        train(trainer, 0, 3, total=4)
        found.append(torch.cat([p.detach().flatten() for p in trainer.features.parameters()]))
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-4)


def test_class_weights_of_pada_are_tllibs(build) -> None:
    trainer = build("pada", memory=0.0)
    trainer.predicted = torch.full((4,), 0.25)
    found = trainer.class_weights(given(12, 4, 11, 2.0))
    torch.testing.assert_close(found, torch.tensor(GOLDENS["class_weights"], dtype=torch.float64))


def without_source(batch: dict[str, Batch]) -> dict[str, Batch]:
    nothing = torch.full_like(batch["source"].images, torch.nan)
    return {**batch, "source": Batch(nothing, torch.zeros(8, dtype=torch.long))}


def test_shot_looks_at_no_source_image_once_it_adapts(build) -> None:
    """The same bits with source images of NaN."""
    found = []
    for change in (lambda batch: batch, without_source):
        trainer = build("shot", pretraining=0.5)
        train(trainer, 0, 2, total=4)
        for step in (2, 3):
            torch.manual_seed(step)
            trainer.step(change(batch_at(step)), Progress(step, 4))
        found.append([p.detach().clone() for p in trainer.target_features.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert all(p.isfinite().all() for p in found[0])


def test_shot_leaves_source_encoder_and_classifier_as_they_were(build) -> None:
    trainer = build("shot", pretraining=0.5, encoder="dann_i")
    train(trainer, 0, 2, total=4)
    fixed = copy.deepcopy([trainer.features.state_dict(), trainer.classifier.state_dict()])
    train(trainer, 2, 4, total=4)
    for network, before in zip((trainer.features, trainer.classifier), fixed, strict=True):
        assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_shot_descends_information_maximization_and_pseudo_labels(build) -> None:
    trainer = build("shot", **PLAIN, pretraining=0.0, pseudo_weight=0.3)
    trainer.target_optimizer.step = lambda *a, **k: None
    trainer.step(batch_at(0), Progress(0, 4))
    logits = trainer.classifier(trainer.target_features(batch_at(0)["target"].images, "target"), "source")
    features = trainer.target_features(batch_at(0)["target"].images, "target").detach()
    p = logits.softmax(1)
    maximization = -(p * p.log()).sum(1).mean() + (p.mean(0) * p.mean(0).log()).sum()
    trainer.remembered = trainer.remembered[:0]
    loss = maximization + 0.3 * F.cross_entropy(logits, trainer.labels(features, logits.detach()))
    parameters = list(trainer.target_features.parameters())
    for p, wanted in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        torch.testing.assert_close(p.grad, wanted, rtol=1e-3, atol=1e-6)


def test_shot_remembers_the_last_images_and_no_more(build) -> None:
    trainer = build("shot", pretraining=0.01, memory=20)
    train(trainer, 1, 4, total=100)
    assert trainer.remembered.shape == (20, 512 + 1 + 10)
    newest = trainer.remembered[:8].clone()
    trainer.labels(torch.rand(8, 512), torch.zeros(8, 10))
    assert torch.equal(trainer.remembered[8:16], newest)


def test_weights_of_source_only_are_a_start_for_shot(build) -> None:
    """With --init: all that predicts has the name and shape that it has there."""
    source, adapted = build("source_only"), build("shot", seed=1, pretraining=0.0)
    train(source, 0, 2, total=2)
    for name in ("features", "classifier"):
        getattr(adapted, name).load_state_dict(getattr(source, name).state_dict())
    adapted.start_adapting()
    for trainer in (source, adapted):
        set_mode(trainer, "eval")
    images = batch_at(0)["target"].images
    assert torch.equal(source.predict(images, "target"), adapted.predict(images, "target"))
