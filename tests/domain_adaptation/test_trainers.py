from __future__ import annotations

import copy
import warnings
from dataclasses import replace

import pytest
import torch

from pluglab.capabilities import Classifies, Embeds, HasNetworks, can
from pluglab.data import Images
from pluglab.engine import evaluation
from pluglab.errors import UserError
from pluglab.evaluating import embed, predict
from pluglab.protocols import Progress
from pluglab.recipe.resolve import make
from pluglab.training import modules_of, set_mode
from pluglab_domain_adaptation.losses import domain_labels, domain_loss
from pluglab_domain_adaptation.networks import DomainBatchNorm
from tests.evaluation import role_data

from .conftest import batch_at, spec_of, train

NEWER = ["cdan", "deep_coral", "mcd", "pada", "shot"]
METHODS = ["source_only", "target_only", "adabn", "dann", "dsn", "adda", *NEWER]
# In as few steps as here, AdaBN needs a larger share of them.
OPTIONS = {"adabn": {"estimation": 0.25}}
DOMAINS = ("source", "target")
ADAPTIVE = ["dann", "dsn", "adda", *NEWER]
ADVERSARIAL = ["dann", "dsn", "adda", "cdan", "pada"]
ENCODERS = ["dann_i", "dann_ii", "dann_iii", "modern", "lenet", "dsn_paper"]


def state(trainer) -> dict[str, torch.Tensor]:
    parts = {name: part for name, part in trainer.state_dict().items() if isinstance(part, dict)}
    tensors = {f"{n}.{k}": t for n, part in parts.items() if "optimizer" not in n for k, t in part.items()}
    return {name: tensor.clone() for name, tensor in tensors.items()}


def weights(trainer) -> dict[str, torch.Tensor]:
    """The parameters alone, without running statistics."""
    modules = modules_of(trainer).items()
    return {f"{name}.{k}": p.detach().clone() for name, m in modules for k, p in m.named_parameters()}


@pytest.mark.filterwarnings("ignore:not AdaBN yet")
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


@pytest.mark.filterwarnings("ignore:not AdaBN yet")
@pytest.mark.parametrize("steps", [0, 3, 4])
@pytest.mark.parametrize("method", METHODS)
def test_features_are_classified_as_their_images_are_and_one_pass_gives_both(build, method, steps):
    """In every phase, for either domain: evaluators take logits from features that another has had made."""
    trainer, seen = build(method, **OPTIONS.get(method, {})), []
    train(trainer, 0, steps, total=4)
    set_mode(trainer, "eval")
    data = role_data({role: Images(torch.randint(0, 256, (30, 3, 16, 16)).byte()) for role in DOMAINS})
    networks = [net for name, net in modules_of(trainer).items() if name in ("features", "target_features")]
    for network in networks:
        network.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    with torch.no_grad(), evaluation.look(trainer, torch.device("cpu")):
        for role in DOMAINS:
            part, index = data[role]["test"], torch.arange(30)
            images = torch.cat(list(part.batches()))
            expected = trainer.predict(images, role)
            seen.clear()
            logits, features = predict(trainer, part, index), embed(trainer, part, index)
            assert seen == [30]
            torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(features, trainer.embed(images, role), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_networks_come_with_inputs_that_they_take(build, method):
    for network, inputs in build(method).networks().values():
        assert len(network.eval()(*inputs)) == 2


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_every_network_of_every_encoder(build, method, encoder):
    trainer = build(method, encoder=encoder, **OPTIONS.get(method, {}))
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
    options = OPTIONS.get(method, {})
    straight = build(method, **options)
    train(straight, 0, 4, total=4)
    first = build(method, **options)
    train(first, 0, stop, total=4)
    second = build(method, seed=1, **options)
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


def test_adabn_learns_as_source_only(build):
    """The same weights as without a target, to the last bit: estimating draws no random number."""
    plain, adapted = build("source_only"), build("adabn", estimation=0.5)
    for trainer in (plain, adapted):
        torch.manual_seed(0)
        for step in range(4):
            trainer.step(batch_at(step), Progress(step, 4))
    assert all(map(torch.equal, weights(plain).values(), weights(adapted).values()))


@pytest.mark.parametrize("batches", [1, 2, 3])
def test_adabn_takes_the_average_of_the_batches_that_it_estimates_from(build, batches):
    """None of the 0 and 1 that statistics start with. The weights stand still here."""
    still = {"name": "sgd", "lr": 1e-12, "momentum": 0.0}
    trainer = build("adabn", estimation=batches / 4, optimizer=still)
    first = next(m for m in trainer.features.modules() if isinstance(m, torch.nn.Conv2d))
    norm = next(m for m in trainer.features.modules() if isinstance(m, DomainBatchNorm))
    train(trainer, 0, 4, total=4)
    with torch.no_grad():
        seen = [first(batch_at(step)["target"].images) for step in range(4 - batches, 4)]
    mean = torch.stack([x.mean((0, 2, 3)) for x in seen]).mean(0)
    variance = torch.stack([x.var((0, 2, 3)) for x in seen]).mean(0)
    torch.testing.assert_close(norm.target.running_mean, mean, atol=2e-3, rtol=1e-2)
    torch.testing.assert_close(norm.target.running_var, variance, atol=2e-3, rtol=1e-2)


def test_adabn_estimates_statistics_as_it_predicts(build):
    """With weights that stand still and one batch, the target's features in prediction are normalized by
    exactly themselves: dropout would have changed what the later batch norms see."""
    still = {"name": "sgd", "lr": 1e-12, "momentum": 0.0}
    trainer = build("adabn", estimation=0.25, optimizer=still)
    train(trainer, 0, 4, total=4)
    set_mode(trainer, "eval")
    seen = []
    last = [m for m in trainer.features.modules() if isinstance(m, DomainBatchNorm)][-1]
    last.target.register_forward_hook(lambda module, inputs, output: seen.append(output.clone()))
    with torch.no_grad():
        trainer.predict(batch_at(3)["target"].images, "target")
    assert seen[0].mean((0, 2, 3)).abs().max() < 2e-2  # running variances are unbiased


def test_a_look_at_adabn_before_its_estimation_says_that_it_is_none(build):
    """A checkpoint may be picked before the end: the source's statistics stand in, and it is said."""
    trainer, images = build("adabn", estimation=0.25), batch_at(0)["target"].images
    train(trainer, 0, 3, total=4)
    set_mode(trainer, "eval")
    for look in (trainer.predict, trainer.embed):
        with pytest.warns(UserWarning, match="not AdaBN yet"):
            early = look(images, "target")
        assert torch.equal(early, look(images, "source"))
    set_mode(trainer, "train")
    train(trainer, 3, 4, total=4)
    set_mode(trainer, "eval")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not torch.equal(trainer.predict(images, "target"), trainer.predict(images, "source"))


@pytest.mark.parametrize(("estimation", "total"), [(0.001, 1), (0.1, 9), (0.2, 4)])
def test_an_estimation_of_no_step_is_refused_at_the_first(build, estimation, total):
    trainer = build("adabn", estimation=estimation)
    before = weights(trainer)
    with pytest.raises(UserError, match=f"of {total} steps is no step") as told:
        train(trainer, 0, 1, total=total)
    assert told.value.help == (f"a share of at least one in {total}, or more steps",)
    assert all(map(torch.equal, before.values(), weights(trainer).values()))


@pytest.mark.parametrize("method", ADVERSARIAL)
@pytest.mark.parametrize("encoder", ["dann_i", "dann_ii", "modern"])
def test_a_discriminator_always_sees_both_domains_together(build, method, encoder):
    """Its batch norm, where it has one, would hide the shift from it if it saw one domain alone."""
    trainer = build(method, encoder=encoder, **({"pretraining": 0.01} if method == "adda" else {}))
    seen = []
    trainer.discriminator.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    train(trainer, 1, 3, total=4)
    assert seen and set(seen) == {16}


@pytest.mark.filterwarnings("ignore:not AdaBN yet")
@pytest.mark.parametrize("method", ["adabn", *ADAPTIVE])
@pytest.mark.parametrize("domain", ["source", "target"])
def test_a_further_role_is_taken_for_the_domain_that_the_options_name(build, method, domain):
    trainer = build(method, domains={"val": domain}, **OPTIONS.get(method, {}))
    train(trainer, 0, 4, total=4)
    set_mode(trainer, "eval")
    images = batch_at(0)["target"].images
    looks = [trainer.predict, trainer.embed]
    looks += [lambda x, role: trainer.reconstruct(x, role)["private"]] if method == "dsn" else []
    for look in looks:
        assert torch.equal(look(images, "val"), look(images, domain))
        other = {"source": "target", "target": "source"}[domain]
        assert not torch.equal(look(images, "val"), look(images, other))


@pytest.mark.parametrize("method", ["adabn", *ADAPTIVE])
def test_a_further_role_that_no_option_names_is_an_error(build, method):
    trainer = build(method)
    set_mode(trainer, "eval")
    looks = [trainer.predict, trainer.embed, *([trainer.reconstruct] if method == "dsn" else [])]
    for look in looks:
        with pytest.raises(UserError, match="the role 'val' is neither 'source' nor 'target'"):
            look(batch_at(0)["target"].images, "val")


@pytest.mark.parametrize(("method", "options"), [("source_only", {}), ("dann", {"batch_norm": "joint"})])
def test_a_further_role_is_any_other_where_domains_are_treated_alike(build, method, options):
    trainer, images = build(method, **options), batch_at(0)["target"].images
    set_mode(trainer, "eval")
    assert torch.equal(trainer.predict(images, "val"), trainer.predict(images, "target"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("size", "channels"), [((16, 21), 2), ((21, 16), 4)])
def test_rectangular_images_of_any_number_of_channels_are_learned(build, method, size, channels):
    trainer = build(method, size=size, channels=channels, encoder="dsn_paper", **OPTIONS.get(method, {}))
    roles = tuple(role.name for role in trainer.roles)
    for step in (2, 3):
        trainer.step(batch_at(step, roles, size, channels), Progress(step, 4))
    set_mode(trainer, "eval")
    images = batch_at(0, ("target", "source"), size, channels)["target"].images
    assert trainer.predict(images, "target").shape == (8, 10)
    if method == "dsn":
        assert {x.shape for x in trainer.reconstruct(images, "target").values()} == {images.shape}


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


def test_labels_of_a_target_that_lacks_a_class_are_matched_by_name():
    """By position, a classifier without a mistake would be wrong on all of c and d."""
    pixels = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
    source = Images(pixels, torch.tensor([0, 1, 2, 3]), classes=("a", "b", "c", "d"))
    target = Images(pixels[:3], torch.tensor([0, 1, 2]), classes=("a", "c", "d"))
    data = role_data({"source": source, "target": target})
    assert data["target"]["test"].labels.tolist() == [0, 2, 3]
    assert data["target"]["test"].spec.classes == ("a", "b", "c", "d")


def test_a_target_that_declares_no_classes_is_fine(registry):
    unlabeled = replace(spec_of(), classes=None)
    assert make(registry, "trainer", "dann").build({"source": spec_of(), "target": unlabeled})
