"""What a trainer can do: by its methods, and by attributes however its class shows them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, Protocol

import pytest

from pluglab import capabilities
from pluglab.capabilities import (
    Classifies,
    Embeds,
    Generates,
    HasNetworks,
    HasSampling,
    Samples,
    SamplesClasses,
    can,
    capability,
    is_capability,
    lacks,
    members_of,
    words_of,
)
from tests.core.support import RECIPE, Lab, only_run


@capability("sing a tune")
class Sings(Protocol):
    """One of a third party: a method, an attribute, and a property."""

    tune: str

    @property
    def voices(self) -> int: ...

    def sing(self, loud: bool) -> str: ...


@capability("sing in a choir")
class SingsInChoir(Sings, Protocol):
    choir: str


class Choir(Protocol):
    """Looks like a capability, and is none."""

    def sing(self, loud: bool) -> str: ...


class Silent:
    def sing(self, loud: bool) -> str:
        return ""


class ByValue(Silent):
    tune = "la"
    voices = 1


class ByAnnotation(Silent):
    tune: str
    voices: ClassVar[int]


class Inheriting(ByAnnotation):
    """Neither its own nor its base's constructor has run when its class is asked."""


class ByProperty(Silent):
    tune: str

    @property
    def voices(self) -> int:
        raise RuntimeError("not to be asked of a class")


class ByWord(Silent):
    provides = (Sings,)


class BySetting(Silent):
    """Sets what it has in its constructor, and says nothing of it: its class does not show it."""

    def __init__(self, voices: int | None) -> None:
        self.tune = "la"
        if voices is not None:
            self.voices = voices


# Declared ones ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shown", [ByValue, ByAnnotation, Inheriting, ByProperty, ByWord])
def test_a_class_shows_an_attribute_in_one_of_four_ways(shown: type) -> None:
    assert can(shown, Sings) and lacks(shown, Sings) == []


def test_a_class_without_a_member_cannot_and_the_members_are_named() -> None:
    assert lacks(Silent, Sings) == ["tune", "voices"]
    assert lacks(object, Sings) == ["tune", "voices", "sing"]
    assert not can(BySetting, Sings)
    assert not can(type("Dumb", (), {"tune": "la", "voices": 1}), Sings), "attributes are not enough"


def test_of_an_instance_counts_what_it_has() -> None:
    assert can(BySetting(3), Sings)
    assert lacks(BySetting(None), Sings) == ["voices"]
    assert not can(ByAnnotation(), Sings), "what was announced and never set"
    assert can(ByValue(), Sings)


def test_a_capability_that_includes_another_asks_for_both() -> None:
    assert members_of(SingsInChoir) == ("tune", "voices", "sing", "choir")
    assert lacks(ByValue, SingsInChoir) == ["choir"]
    whole = type("Whole", (ByValue,), {"choir": "church"})
    assert can(whole, SingsInChoir) and can(whole, Sings)
    assert members_of(SamplesClasses) == ("sample", "num_classes")


def test_only_what_is_declared_is_a_capability() -> None:
    assert is_capability(Sings) and is_capability(SingsInChoir)
    assert not any(map(is_capability, [Choir, Silent, Protocol, "Sings", None, ByValue()]))
    undeclared = type("Undeclared", (Sings, Protocol), {})  # type: ignore[arg-type]
    assert not is_capability(undeclared)


def test_words_and_members() -> None:
    assert words_of(Sings) == "sing a tune"
    assert members_of(Generates) == ("latents", "generate")
    assert members_of(HasSampling) == ("sampling",)
    assert words_of(SamplesClasses) == "sample images of a class asked for"


def test_a_protocol_is_still_one_for_isinstance() -> None:
    """A trainer needs nothing of the decorator's to be an instance."""
    assert isinstance(ByValue(), Sings) and not isinstance(Silent(), Sings)  # type: ignore[misc]


def test_what_a_class_can_is_told_once_without_what_follows() -> None:
    class Painter(ByValue):
        num_classes = 3

        def sample(self, n: int, labels: Any, generator: Any) -> Any: ...

        def networks(self) -> Any: ...

    found = capabilities.of(Painter)
    assert set(found) == {Samples, SamplesClasses, HasNetworks, Sings}
    words = capabilities.in_words(found)
    assert sorted(words) == ["list its networks", "sample images of a class asked for", "sing a tune"]
    assert capabilities.in_words([Samples]) == ["sample images"]
    assert not {Classifies, Embeds} & set(found)


# In recipes ------------------------------------------------------------------------------------------

SINGERS = '''
"""A plugin with a capability of its own, trainers of each way to have it, and an evaluator that needs it."""

from typing import Any, Protocol

import torch

from pluglab import Evaluation, Role, TrainerBase, capability


@capability("sing a tune")
class Sings(Protocol):
    tune: str

    def sing(self) -> str: ...


class Silent(TrainerBase):
    def __init__(self, config, data):
        self.net = torch.nn.Linear(1, 1)

    def step(self, batch, progress):
        return {"loss/none": batch["train"].images.mean()}


class Singer(Silent):
    """Its tune is made by its constructor."""

    tune: str

    def __init__(self, config, data):
        super().__init__(config, data)
        self.tune = "la" * data["train"].channels

    def sing(self):
        return self.tune


class Forgetful(Silent):
    """Sets a tune, and does not say so."""

    def __init__(self, config, data):
        super().__init__(config, data)
        self.tune = "la"

    def sing(self):
        return self.tune


class Said(Forgetful):
    provides = (Sings,)


class Loudness:
    needs = (Sings,)

    def evaluate(self, trainer, data, context):
        return Evaluation({"loudness": float(len(trainer.sing()))})


def lab_register(registry):
    for target in (Silent, Singer, Forgetful, Said):
        registry.add("trainer", target.__name__.lower(), target)
    registry.add("evaluator", "loudness", Loudness)
'''


@pytest.fixture
def sung(lab: Lab, recipe: Path) -> Path:
    Path("singers.py").write_text(SINGERS)
    head, _, tail = RECIPE.replace("steps = 40", 'steps = 2\nevaluate = ["loudness"]').partition(
        "[[evaluate]]"
    )
    recipe.write_text(head + "[run]" + tail.partition("[run]")[2])
    return recipe


@pytest.mark.parametrize("name", ["singer", "said"])
def test_an_evaluator_meets_every_trainer_that_can_what_it_needs(lab: Lab, sung: Path, name: str) -> None:
    assert lab("run", sung, "--set", f"trainer.name={name}", "--plugin", "singers.py") == 0
    assert json.loads((only_run() / "results.json").read_text())["scalars"] == {"loudness": 2.0}


@pytest.mark.parametrize("name", ["silent", "forgetful"])
def test_what_is_missing_is_told_at_the_evaluator_before_anything_is_run(
    lab: Lab, sung: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert lab("run", sung, "--set", f"trainer.name={name}", "--plugin", "singers.py") == 2
    said = capsys.readouterr().err
    assert f"error: evaluator 'loudness' needs a trainer that can sing a tune; '{name}' cannot\n" in said
    line = sung.read_text().splitlines().index('evaluate = ["loudness"]') + 1
    assert f"--> {sung}:{line}\n" in said and '"loudness"]\n  |             ^^^^^^^^^^\n' in said
    assert "a trainer can sing a tune if it has tune, sing(), in its class or annotated there" in said
    assert not Path("runs").exists()


def test_a_strangers_capability_is_shown_like_one_of_ours(
    lab: Lab, sung: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, able in (("singer", True), ("silent", False)):
        assert lab("show", "trainer", name, "--json", "--plugin", "singers.py") == 0
        assert ("sing a tune" in json.loads(capsys.readouterr().out)["can"]) is able
    assert lab("list", "trainers", "--json", "--plugin", "singers.py") == 0
    rows = {row["name"]: row["can"] for row in json.loads(capsys.readouterr().out)}
    assert "sing a tune" in rows["said"] and "sing a tune" not in rows["forgetful"]
    assert set(rows["toy"]) == {"classify images", "list its networks"}


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        ("(Silent,)", "needs must be a tuple of capabilities, not (<class"),
        ('("Sings",)', "needs must be a tuple of capabilities, not ('Sings',)"),
        ("Sings", "needs must be a tuple of capabilities, not <class"),
    ],
)
def test_needs_that_are_no_capabilities_are_the_authors_mistake(
    lab: Lab, sung: Path, capsys: pytest.CaptureFixture[str], needs: str, message: str
) -> None:
    text = SINGERS.replace("needs = (Sings,)", f"needs = {needs}")
    Path("singers.py").write_text(text)
    assert lab("run", sung, "--set", "trainer.name=singer", "--plugin", "singers.py") == 2
    said = capsys.readouterr().err
    assert f"error: evaluator 'loudness' of plugin 'singers': {message}" in said
    line = text.splitlines().index("class Loudness:") + 1
    assert f"singers.py:{line}" in said


def test_a_promise_at_registration_is_held_to(
    lab: Lab, sung: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = SINGERS.replace(
        "target.__name__.lower(), target)", "target.__name__.lower(), target, can=[Sings])"
    )
    Path("singers.py").write_text(text)
    assert lab("run", sung, "--set", "trainer.name=silent", "--plugin", "singers.py") == 2
    said = capsys.readouterr().err
    message = (
        "trainer 'silent' of plugin 'singers' is registered as one that can sing a tune, and has no tune"
    )
    assert f"error: {message}\n" in said
    assert f"singers.py:{text.splitlines().index('class Silent(TrainerBase):') + 1}" in said
    assert lab("run", sung, "--set", "trainer.name=singer", "--plugin", "singers.py") == 0


def test_a_promise_of_what_is_no_capability(lab: Lab, sung: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = SINGERS.replace("target)", 'target, can=["sing"])')
    Path("singers.py").write_text(text)
    assert lab("list", "trainers", "--plugin", "singers.py") == 2
    assert "can= of trainer 'silent' must be capabilities, such as Classifies" in capsys.readouterr().err
