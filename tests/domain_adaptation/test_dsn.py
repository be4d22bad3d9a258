from __future__ import annotations

import torch

from pluglab.capabilities import Reconstructs, can
from pluglab.protocols import Progress
from pluglab.training import set_mode
from pluglab_domain_adaptation import losses

from .conftest import batch_at, train


def test_the_parts_of_the_loss_add_up_with_their_weights_in_one_step(build):
    """The gradient of one step is that of class + alpha rec + beta diff + gamma sim, computed here apart."""
    options = {"alpha": 0.3, "beta": 0.2, "gamma": 0.7, "label_smoothing": 0.0, "encoder": "dsn_paper"}
    trainer = build("dsn", **options, active_from=0.0, adaptation="constant")
    taken = []
    trainer.optimizer.step = lambda *a, **k: taken.append(1)
    trainer.step(batch_at(0), Progress(2, 4))
    assert len(taken) == 1
    names = "features", "source_features", "target_features", "decoder", "discriminator"
    found = {(n, k): p.grad.clone() for n in names for k, p in getattr(trainer, n).named_parameters()}

    batch = batch_at(0)
    source, target, labels = batch["source"].images, batch["target"].images, batch["source"].labels
    assert labels is not None
    shared = [trainer.features(source, "source"), trainer.features(target, "target")]
    private = [trainer.source_features(source), trainer.target_features(target)]
    made = [trainer.decoder(s + p) for s, p in zip(shared, private, strict=True)]
    error = losses.si_mse(source, made[0]) + losses.si_mse(target, made[1])
    difference = sum(losses.difference_loss(p, s) for p, s in zip(private, shared, strict=True))
    class_loss = torch.nn.functional.cross_entropy(trainer.classifier(shared[0]), labels)
    is_target = losses.domain_labels(16, source.device)
    domain = losses.domain_loss(trainer.discriminator(torch.cat(shared)), is_target)
    rest = class_loss + 0.3 * error + 0.2 * difference
    for name in names:
        parameters = dict(getattr(trainer, name).named_parameters())
        sign = 1.0 if name == "discriminator" else -1.0  # the reversal lies between the two
        total = rest + sign * 0.7 * domain
        grads = torch.autograd.grad(total, list(parameters.values()), retain_graph=True, allow_unused=True)
        for key, grad in zip(parameters, grads, strict=True):
            torch.testing.assert_close(found[name, key], grad, rtol=1e-3, atol=1e-6)


def test_the_similarity_loss_sleeps_until_its_share_of_training(build):
    trainer = build("dsn", active_from=0.5, adaptation="constant")
    before = [p.clone() for p in trainer.discriminator.parameters()]
    trainer.optimizer.param_groups[0]["weight_decay"] = 0.0
    train(trainer, 0, 5, total=10)
    assert all(torch.equal(b, p) for b, p in zip(before, trainer.discriminator.parameters(), strict=True))
    train(trainer, 5, 6, total=10)
    assert not all(torch.equal(b, p) for b, p in zip(before, trainer.discriminator.parameters(), strict=True))


def test_the_factor_ramps_from_the_start_of_the_similarity_loss(build):
    trainer = build("dsn", active_from=0.2, gamma=0.25)
    assert trainer.similarity(Progress(1, 10)) == (0.0, 0.0)
    assert trainer.similarity(Progress(2, 10)) == (0.25, 0.0)
    gamma, factor = trainer.similarity(Progress(6, 10))
    assert gamma == 0.25 and abs(factor - (2 / (1 + torch.tensor(-5.0).exp()) - 1)) < 1e-6


def test_reconstructions_come_in_three_kinds_with_the_mean_of_their_input(build):
    trainer = build("dsn")
    assert can(trainer, Reconstructs)
    set_mode(trainer, "eval")
    images = batch_at(0)["target"].images
    with torch.no_grad():
        kinds = trainer.reconstruct(images, "target")
        assert set(kinds) == {"shared", "private", "both"}
        for made in kinds.values():
            assert made.shape == images.shape
            torch.testing.assert_close(made.mean((1, 2, 3)), images.mean((1, 2, 3)))
        assert not torch.equal(kinds["private"], trainer.reconstruct(images, "source")["private"])


def test_dsn_learns_to_redraw_an_image(build):
    trainer = build("dsn", alpha=1.0, beta=0.0, gamma=0.0, encoder="dsn_paper", schedule="constant")
    first = train(trainer, 0, 1, total=1)["loss/reconstruction"]
    for step in range(40):
        figures = trainer.step(batch_at(0), Progress(step, 40))
    assert figures["loss/reconstruction"] < 0.9 * first
