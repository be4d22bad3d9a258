"""The film of an interrupted run is that of an uninterrupted one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pluglab.cli import main
from pluglab.engine.engine import Engine
from tests.core.support import TOYS, only_run
from tests.core.test_preparation import GENERATORS

RECIPE = """
steps = 12
checkpoint_every = 5
trainer = "toy_generator"
data.train = "toy_images"
[[evaluate]]
name = "training_animation"
every = 2
count = 4
[run]
threads = 1
"""


def lab(*words: str) -> int:
    with pytest.raises(SystemExit) as leave:
        main([*words, "--plugin", str(TOYS), "--plugin", str(GENERATORS)])
    return int(leave.value.code or 0)


def test_the_film_survives_an_interruption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LAB_PLUGINS", "metrics")
    Path("r.toml").write_text(RECIPE)
    assert lab("run", "r.toml", "--run-dir", "whole") == 0
    step = Engine._after_steps

    def interrupt(engine: Engine) -> None:
        engine.signals.received = 15 if engine.step == 8 else None
        step(engine)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "_after_steps", interrupt)
        assert lab("run", "r.toml") == 143
    assert lab("resume", str(only_run())) == 0
    films = [only_run(Path(root)) / "figures" / "training_animation_film.gif" for root in ("whole", "runs")]
    assert films[0].read_bytes() == films[1].read_bytes()
    stills = sorted(path.parent.name for path in only_run().glob("figures/step_*/*_frame.png"))
    assert stills == [f"step_{step:08d}" for step in (2, 4, 6, 8, 10)]
    events = map(json.loads, (only_run() / "metrics.jsonl").read_text().splitlines())
    assert [event["step"] for event in events if event["type"] == "evaluation"] == [2, 4, 6, 8, 10, 12]
