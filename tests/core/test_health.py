"""A trainer says what is wrong with its training, once while it lasts, in an interrupted run as well."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pluglab.engine.meters import Health
from tests.core.support import Lab, only_run
from tests.core.test_preparation import GENERATORS

RECIPE = """
steps = 12
log_every = 1
checkpoint_every = 1
trainer = { name = "complainer", ill = [2, 3, 4, 8, 9] }
data.train = "toy_images"
"""


@pytest.fixture
def complaining(tmp_path: Path) -> Path:
    path = tmp_path / "r.toml"
    path.write_text(RECIPE)
    return path


def entries(folder: Path) -> list[tuple[int, str]]:
    events = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [(event["step"], event["message"]) for event in events if event["type"] == "health"]


def test_a_finding_is_told_when_it_appears_and_when_it_is_back(
    lab: Lab, complaining: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab("run", complaining, "--plugin", GENERATORS) == 0
    words = {step: f"a loss of {step} is bad; lower the rate" for step in (2, 8)}
    assert entries(only_run()) == list(words.items())
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert said == [f"warning: step {step}: {text}" for step, text in words.items()]


def test_a_resumed_run_does_not_repeat_what_lasts(
    lab: Lab, complaining: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pluglab.engine.engine import Engine

    save = Engine.save

    def interrupt(engine: Engine, *, wait: bool = True) -> None:
        save(engine, wait=wait)
        engine.signals.received = 15 if engine.step == 3 else None

    monkeypatch.setattr(Engine, "save", interrupt)
    assert lab("run", complaining, "--plugin", GENERATORS) == 143
    assert lab("resume", only_run(), "--plugin", GENERATORS) == 0
    assert [step for step, _ in entries(only_run())] == [2, 8]


def test_several_findings_are_told_apart_by_their_words() -> None:
    health = Health()
    assert health.new_findings(["a: 0.5", "b: 1e-05"]) == ["a: 0.5", "b: 1e-05"]
    assert health.new_findings(["b: 0.25", "c: 7", "a: 3"]) == ["c: 7"]
    assert health.new_findings([]) == []
    assert Health(["a: "]).new_findings(["a: 12", "b: 2"]) == ["b: 2"]


def test_a_loss_that_is_not_finite_is_an_entry_with_its_remedy(lab: Lab, recipe: Path) -> None:
    assert lab("run", recipe, "--set", "trainer.bad_step=17") == 1
    ((step, message),) = entries(only_run())
    assert step == 20
    assert message.startswith("'loss/class' became NaN or infinite; ") and "learning rate" in message
