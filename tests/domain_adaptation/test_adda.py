from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from pluglab.protocols import Batch, Progress
from pluglab.training import set_mode
from pluglab_domain_adaptation.losses import inverted_domain_loss

from .conftest import batch_at, train

ENCODERS = ["modern", "dann_i", "dann_ii", "lenet", "dsn_paper"]


def parameters(network: nn.Module) -> list[torch.Tensor]:
    return [p.clone() for p in network.parameters()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_the_first_phase_is_supervised_training_on_the_source_alone(build):
    trainer, reference = build("adda", pretraining=0.5), build("source_only")
    train(trainer, 0, 4, total=8)
    train(reference, 0, 4, total=4)
    for name in ("features", "classifier"):
        assert same(parameters(getattr(trainer, name)), parameters(getattr(reference, name)))


def test_the_second_phase_moves_only_the_target_encoder_and_the_discriminator(build):
    trainer = build("adda", pretraining=0.5)
    train(trainer, 0, 2, total=4)
    fixed = parameters(trainer.features), parameters(trainer.classifier)
    start, judge = parameters(trainer.features), parameters(trainer.discriminator)
    train(trainer, 2, 4, total=4)
    assert same(fixed[0], parameters(trainer.features))
    assert same(fixed[1], parameters(trainer.classifier))
    assert not same(start, parameters(trainer.target_features))
    assert not same(judge, parameters(trainer.discriminator))


def test_the_target_encoder_starts_as_the_source_encoder(build):
    trainer = build("adda", pretraining=0.5, target_schedule="sigmoid_ramp")  # rate 0 at its start
    train(trainer, 0, 3, total=4)
    assert same(parameters(trainer.features), parameters(trainer.target_features))


def test_prediction_takes_the_encoder_of_the_role_once_there_is_one(build):
    trainer = build("adda", pretraining=0.5)
    images = batch_at(0)["target"].images
    for steps, alike in ((2, True), (4, False)):
        train(trainer, steps - 2, steps, total=4)
        set_mode(trainer, "eval")
        same_logits = torch.equal(trainer.predict(images, "source"), trainer.predict(images, "target"))
        assert same_logits == alike
        set_mode(trainer, "train")


def test_the_target_encoder_descends_the_inverted_domain_loss(build):
    """With a still discriminator, its steps make target features look more like the source's."""
    still = {"name": "sgd", "lr": 1e-12, "momentum": 0.0}
    options = {"discriminator_optimizer": still, "target_optimizer": {"name": "adam", "lr": 1e-3}}
    trainer = build("adda", pretraining=0.01, encoder="dsn_paper", **options)
    figures = [trainer.step(batch_at(0), Progress(step, 100)) for step in range(1, 40)]
    assert figures[-1]["loss/fooling"] < 0.7 * figures[0]["loss/fooling"]


@pytest.mark.parametrize("encoder", ["dann_i", "dann_ii"])
def test_the_target_is_judged_as_in_the_batch_of_both_domains(build, encoder):
    """A batch norm in the discriminator would take the shift of target features alone for their mean."""
    trainer = build("adda", pretraining=0.01, encoder=encoder)
    for module in trainer.discriminator.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    trainer.discriminator_optimizer.step = lambda *a, **k: None
    judged = []
    trainer.discriminator.register_forward_hook(lambda module, inputs, output: judged.append(output))
    figures = train(trainer, 1, 2, total=2)
    both = judged[0][8:]
    expected = inverted_domain_loss(both, torch.ones(8, dtype=torch.long))
    torch.testing.assert_close(figures["loss/fooling"], expected.detach())


def test_features_of_the_target_are_led_to_the_sources_by_a_discriminator_with_batch_norm(build):
    """Source and target differ by a shift alone. Judged by itself the target had no gradient along it."""
    discriminator = build("adda", encoder="dann_ii").discriminator
    source, target = torch.randn(64, 48), torch.randn(64, 48) + 0.5
    trainer = build("adda", encoder="dann_ii", pretraining=0.01, fooling_weight=1.0)
    trainer.features, trainer.target_features = Given(source), Given(target)
    trainer.classifier = nn.Linear(48, 10)
    trainer.classifier.forward = lambda inputs, role: nn.functional.linear(inputs, inputs.new_zeros(10, 48))
    trainer.discriminator, trainer.adapting = discriminator, True
    trainer.discriminator_optimizer = torch.optim.Adam(discriminator.parameters(), 1e-2)
    trainer.target_optimizer = torch.optim.SGD(trainer.target_features.parameters(), 0.0)
    images = {"source": Batch(torch.zeros(64, 3, 1, 1), torch.arange(64) % 10)}
    images["target"] = Batch(torch.zeros(64, 3, 1, 1))
    for step in range(1, 60):
        trainer.step(images, Progress(step, 60))
    along_the_shift = trainer.target_features.given.grad.sum()
    assert along_the_shift > 1e-3  # descending it moves the target towards the source


class Given(nn.Module):
    """Features that are what they are, whatever the images."""

    def __init__(self, given: torch.Tensor) -> None:
        super().__init__()
        self.given = nn.Parameter(given)

    def forward(self, images: torch.Tensor, role: str) -> torch.Tensor:
        return self.given


def without_dropout(trainer):
    for network in (trainer.features, trainer.target_features, trainer.classifier):
        for module in network.modules():
            if isinstance(module, (nn.Dropout, nn.Dropout2d)):
                module.p = 0.0
    return trainer


@pytest.mark.parametrize(
    ("options", "images"),
    [
        ({}, 8),
        ({"encoder": "lenet", "batch_norm": "joint"}, 8),
        ({"replay": 0.5}, 16),
        ({"batch_norm": "joint"}, 16),
    ],
)
def test_the_source_goes_through_the_target_encoder_only_where_that_changes_anything(build, options, images):
    """Where it is replayed, or shares the statistics of a batch norm with the target."""
    trainer, seen = build("adda", pretraining=0.01, **options), []
    trainer.target_features.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    train(trainer, 1, 2, total=2)
    assert seen == [images]


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("losses", [[], ["information_maximization"]])
def test_the_target_encoder_learns_the_same_without_a_source_that_has_no_weight(build, encoder, losses):
    """Dropout apart, which draws its numbers for as many images as there are."""
    options = {"encoder": encoder, "pretraining": 0.01, "target_losses": losses}
    with_source, without = (without_dropout(build("adda", **options)) for _ in range(2))
    with_source.joint_norms = True
    for trainer in (with_source, without):
        train(trainer, 1, 6, total=6)
    for name in ("target_features", "discriminator"):
        pairs = zip(getattr(with_source, name).parameters(), getattr(without, name).parameters(), strict=True)
        for expected, found in pairs:
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_joint_statistics_of_the_target_encoder_are_those_of_both_domains(build):
    trainer = build("adda", pretraining=0.01, batch_norm="joint", encoder="dann_i")
    norm = next(m for m in trainer.target_features.modules() if isinstance(m, nn.BatchNorm2d))
    seen = []
    norm.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].mean((0, 2, 3))))
    train(trainer, 1, 2, total=2)
    images = [batch_at(1)[role].images for role in ("source", "target")]
    first = next(m for m in trainer.features.modules() if isinstance(m, nn.Conv2d))  # as the copy was
    torch.testing.assert_close(seen[0], first(torch.cat(images)).mean((0, 2, 3)))


def test_a_checkpoint_of_the_first_phase_is_put_back_after_the_second(build):
    """As when the selected step is evaluated at the end: the target has no encoder of its own again."""
    trainer = build("adda", pretraining=0.5)
    images = batch_at(0)["target"].images
    train(trainer, 0, 2, total=4)
    state = copy.deepcopy(trainer.state_dict())
    set_mode(trainer, "eval")
    before = trainer.predict(images, "target")
    set_mode(trainer, "train")
    train(trainer, 2, 4, total=4)
    trainer.load_state_dict(state)
    set_mode(trainer, "eval")
    assert torch.equal(trainer.predict(images, "target"), before)
    assert all(parameter.requires_grad for parameter in trainer.features.parameters())
