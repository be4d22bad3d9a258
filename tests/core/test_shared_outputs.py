"""Evaluators of one look share what the model makes of images: each goes through the networks once."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pluglab import evaluating
from pluglab.data import Images
from pluglab.engine.evaluation import look
from pluglab.evaluating import embed, predict, sample_rows
from pluglab.protocols import RoleData
from tests.core.runs import events, made, results, write
from tests.evaluation import role_data

CPU = torch.device("cpu")
ALL = torch.arange(90)


class Model:
    """Counts the images that it has embedded and classified."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.body, self.head = nn.Sequential(nn.Flatten(), nn.Linear(16, 5)), nn.Linear(5, 3)
        self.embedded = self.predicted = 0

    def embed(self, images: Tensor, role: str) -> Tensor:
        self.embedded += len(images)
        return self.body(images)

    def predict(self, images: Tensor, role: str) -> Tensor:
        self.predicted += len(images)
        return self.head(self.body(images))

    def state_dict(self) -> dict[str, object]:
        return {"body": self.body.state_dict(), "head": self.head.state_dict()}


class InTwo(Model):
    """Says how it classifies its features."""

    def predict_features(self, features: Tensor, role: str) -> Tensor:
        return self.head(features)


class Otherwise(InTwo):
    """Predicts in a way that its features alone do not give, as by several views of an image."""

    def predict(self, images: Tensor, role: str) -> Tensor:
        return super().predict(images, role) + super().predict(images.flip(3), role)


@pytest.fixture
def data() -> Iterator[RoleData]:
    """Two roles, without gradients, as evaluators are called."""
    pixels = torch.randint(0, 256, (90, 1, 4, 4), generator=torch.Generator().manual_seed(0)).byte()
    images = Images(pixels, torch.arange(90) % 3, tuple("abc"))
    with torch.no_grad():
        yield role_data({"a": images, "b": {"train": images, "test": Images(pixels.flip(0))}})


def test_no_image_is_embedded_twice_and_the_features_are_the_same(data: RoleData) -> None:
    part, some, others = data["a"]["test"], sample_rows(data["a"]["test"], 40, 1), torch.arange(20, 60)
    alone = Model()
    expected = [embed(alone, part, index) for index in (some, others, ALL, some)]
    assert alone.embedded == 40 + 40 + 90 + 40
    model = Model()
    with look(model, CPU):
        found = [embed(model, part, index) for index in (some, others, ALL, some)]
    assert model.embedded == 90
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-6, atol=1e-6)


def test_roles_and_splits_are_told_apart(data: RoleData) -> None:
    model = Model()
    parts = [data["a"]["test"], data["b"]["train"], data["b"]["test"]]
    with look(model, CPU):
        features = [embed(model, part, ALL) for part in parts]
    assert model.embedded == 3 * 90
    torch.testing.assert_close(features[0], features[2].flip(0))


def test_logits_are_shared_and_one_pass_is_enough_where_features_are_classified(data: RoleData) -> None:
    part, counts = data["a"]["test"], {}
    expected = predict(Model(), part, ALL), embed(Model(), part, ALL)
    for kind in (Model, InTwo, Otherwise):
        model = kind()
        with look(model, CPU):
            logits = [predict(model, part, ALL) for _ in range(2)]
            features = embed(model, part, ALL)
        counts[kind] = model.embedded, model.predicted
        torch.testing.assert_close(features, expected[1], rtol=1e-6, atol=1e-6)
        assert torch.equal(*logits)
        if kind is not Otherwise:
            torch.testing.assert_close(logits[0], expected[0], rtol=1e-6, atol=1e-6)
    assert counts == {Model: (90, 90), InTwo: (90, 0), Otherwise: (90, 180)}
    assert not torch.allclose(logits[0], expected[0]), "its own way to predict counts"


def test_a_method_that_is_replaced_on_the_trainer_is_called(data: RoleData) -> None:
    model, part = InTwo(), data["a"]["test"]
    model.predict = lambda images, role: torch.zeros(len(images), 3)  # type: ignore[method-assign]
    with look(model, CPU):
        assert (predict(model, part, ALL) == 0).all()


def changes():
    yield "weights", lambda model: model.body[1].weight.mul_(2)
    yield "weights past autograd", lambda model: model.body[1].weight.detach().numpy().__imul__(2)
    yield "mode", lambda model: model.body.train()
    yield "hook", lambda model: model.body.register_forward_hook(lambda module, inputs, output: -output)


@pytest.mark.parametrize("change", [pytest.param(change, id=name) for name, change in changes()])
def test_what_changes_the_model_makes_its_outputs_anew(data: RoleData, change) -> None:
    """An evaluator may try other weights, as a measure of sharpness does, and put the old ones back."""
    model, part = Model(), data["a"]["test"]
    for network in (model.body, model.head):
        network.eval()
    with look(model, CPU):
        embed(model, part, ALL)
        change(model)
        changed = embed(model, part, ALL)
    assert model.embedded == 180
    assert torch.equal(changed, model.embed(torch.cat(list(part.batches())), "a"))


def test_another_model_other_images_and_gradients_are_nobodys(data: RoleData) -> None:
    class Dark:
        """The same split with darker images."""

        def __init__(self, part):
            self._part = part

        def __getattr__(self, name):
            return getattr(self._part, name)

        def batches(self, size: int = 500, limit: int | None = None):
            return (images - 1 for images in self._part.batches(size, limit))

    model, part = Model(), data["a"]["test"]
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.body[1].weight.zero_()
    with look(model, CPU):
        features = embed(model, part, ALL)
        assert not torch.allclose(embed(other, part, ALL), features)
        assert not torch.allclose(embed(model, Dark(part), ALL), features)
        with torch.enable_grad():
            assert embed(model, part, ALL).requires_grad
        assert torch.equal(embed(model, part, ALL), features)


class Noisy(Model):
    def embed(self, images: Tensor, role: str) -> Tensor:
        return super().embed(images, role) + torch.randn(len(images), 5)


def test_random_numbers_are_not_shared(data: RoleData) -> None:
    """Else an evaluator would find something else where another has looked before it."""
    model, part = Noisy(), data["a"]["test"]
    torch.manual_seed(1)
    expected = [embed(model, part, ALL) for _ in range(2)]
    torch.manual_seed(1)
    with look(model, CPU):
        found = [embed(model, part, ALL) for _ in range(2)]
    assert torch.equal(expected[0], found[0]) and torch.equal(expected[1], found[1])


def test_what_is_kept_has_a_bound(data: RoleData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluating, "LIMIT", 60 * 5 * 4)
    model, part = Model(), data["a"]["test"]
    with look(model, CPU):
        first = embed(model, part, ALL[:60])
        assert torch.equal(embed(model, part, ALL)[:60], first)
        assert torch.equal(embed(model, part, ALL[:60]), first)
    assert model.embedded == 60 + 30 + 90


def test_images_at_a_few_rows_are_those_of_the_batches_in_full_passes(data: RoleData) -> None:
    part, index = data["a"]["test"], torch.tensor([3, 30, 31, 60, 89])
    parts = list(evaluating.batches_at(part, index, 2))
    assert [len(one) for one in parts] == [2, 2, 1]
    assert torch.equal(torch.cat(parts), torch.cat(list(part.batches(7)))[index])


def test_nothing_is_kept_after_the_look(data: RoleData) -> None:
    model, part = Model(), data["a"]["test"]
    for _ in range(2):
        with look(model, CPU):
            embed(model, part, ALL)
    embed(model, part, ALL)
    assert model.embedded == 270


PLUGIN = """
import torch
from pluglab import Evaluation, Options, Role, TrainerBase
from pluglab.evaluating import embed, predict


class Counting(TrainerBase):
    roles = (Role("train"),)

    def __init__(self, config, data):
        self.net = torch.nn.Linear(16, 2)
        self.optimizer = torch.optim.SGD(self.net.parameters(), 0.1)
        self.embedded = 0

    def step(self, batch, progress):
        loss = self.net(batch["train"].images.flatten(1)).square().mean()
        self.update(self.optimizer, loss)
        return {"loss": loss.detach()}

    def embed(self, images, role):
        self.embedded += len(images)
        return self.net(images.flatten(1))


class Sum:
    class Config(Options):
        rows: int

    needs = ()

    def __init__(self, config):
        self.config = config

    def evaluate(self, trainer, data, context):
        found = embed(trainer, data["train"]["train"], torch.arange(self.config.rows))
        return Evaluation({"sum": found.double().sum().item(), "embedded": float(trainer.embedded)})


def lab_register(registry):
    registry.add("trainer", "counting", Counting)
    registry.add("evaluator", "sum", Sum)
"""


def test_a_run_embeds_a_split_once_a_look() -> None:
    Path("counting.py").write_text(PLUGIN)
    evaluate = "evaluate=[{ name='sum', rows=10, every=4 }, { name='sum', as='more', rows=16, every=4 }]"
    sets = ["trainer='counting'", "steps=8", evaluate]
    words = [word for one in sets for word in ("--set", one)]
    run = made("run", write(), *words, "--plugin", "counting.py")
    counts = [event["scalars"].get("embedded") for event in events(run, "evaluation")]
    assert counts == [10, 16, 26, 32]
    sums = [event["scalars"]["sum"] for event in events(run, "evaluation")]
    assert len(set(sums)) == 4 and results(run)["scalars"]["sum"] == sums[2]
