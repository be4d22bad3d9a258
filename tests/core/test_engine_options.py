"""What the engine does for every trainer: kept checkpoints, parts of batches, clipping, stopping, picking."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.core.runs import (
    ADAPTATION,
    RECIPE,
    events,
    facts,
    folders,
    lab,
    made,
    results,
    saved_steps,
    state,
    trained,
    write,
)
from tests.core.support import same

EVERY_STEP = "evaluate=[{ name = 'certain', every = 1 }]"
EARLY = (EVERY_STEP, "select={ metric = 'certain', mode = 'min', patience = 3 }")
SGD = "trainer.optimizer={ name = 'sgd', lr = 0.1, momentum = 0.0 }"


def test_every_n_th_checkpoint_is_kept() -> None:
    assert saved_steps(trained("run.keep_every=3", "steps=14")) == [3, 6, 9, 12, 14]
    assert saved_steps(trained("steps=14")) == [12, 14]


def test_a_resume_may_keep_others() -> None:
    run = trained("steps=30", "trainer.breaks_at=20", "trainer.optimizer.lr=0.2", code=1)
    words = ["--set", "run.keep_every=8", "--set", "trainer.optimizer.lr=0.02"]
    assert lab("resume", run, *words) == 0
    assert saved_steps(run) == [16, 24, 28, 30]


# Parts of batches --------------------------------------------------------------------------------------

AVERAGING = '''
import torch
from torch import nn, optim

from pluglab import EMA, EMAOptions, Role, TrainerBase


class Averaging(TrainerBase):
    """Without noise, so that parts of a batch add up to the batch."""

    Config = EMAOptions
    roles = (Role("train", labels="required"),)

    def __init__(self, config, data):
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
        self.average = EMA(self.net, config)
        self.sgd = optim.SGD(self.net.parameters(), lr=0.5, momentum=0.9)

    def step(self, batch, progress):
        part = batch["train"]
        loss = nn.functional.cross_entropy(self.net(part.images), part.labels)
        self.update(self.sgd, loss)
        self.average.update(progress.step, len(part.images))
        return {"loss": loss.detach(), "images": torch.tensor(float(len(part.images)))}


def lab_register(registry):
    registry.add("trainer", "averaging", Averaging)
'''


def averaged(*sets: str) -> Path:
    Path("averaging.py").write_text(AVERAGING)
    words = [word for one in ("trainer=averaging", "evaluate=[]", *sets) for word in ("--set", one)]
    return made("run", write(), *words, "--plugin", "averaging.py")


def test_parts_of_a_batch_make_the_step_that_the_batch_makes() -> None:
    """One optimizer step and one step of the average for each batch; the loss that is logged is the mean."""
    whole, parts = averaged(), averaged("gradient_accumulation_steps=4")
    logged = events(parts, "step")
    assert {event["scalars"]["images"] for event in logged} == {2.0}
    for one, other in zip(events(whole, "step"), logged, strict=True):
        assert other["scalars"]["loss"] == pytest.approx(one["scalars"]["loss"], abs=1e-5)
    for network in ("net", "average"):
        one, other = state(whole)["trainer"][network], state(parts)["trainer"][network]
        assert all(torch.allclose(one[key], other[key], atol=1e-6) for key in one)
    assert facts(whole)["identity"] != facts(parts)["identity"]


def test_a_batch_that_cannot_be_parted_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert lab("run", write(), "--set", "gradient_accumulation_steps=3") == 2
    assert "should divide the batch_size, 8" in capsys.readouterr().err
    assert folders() == set()


@pytest.mark.parametrize("parts", [1, 2])
def test_a_longer_gradient_is_scaled_down_to_the_norm(parts: int) -> None:
    """A step of plain SGD is as long as rate times norm; a shorter gradient stays as it is."""
    sets = (SGD, "steps=1", "trainer.noise=0.0", f"gradient_accumulation_steps={parts}")
    still = state(trained(SGD.replace("0.1", "1e-30"), *sets[1:]))["trainer"]
    clipped, free, wide = (
        state(trained(*sets, *more))["trainer"]
        for more in (["max_grad_norm=0.01"], [], ["max_grad_norm=1e6"])
    )
    names = [
        (part, key) for part in ("body", "head") for key in still[part] if key.endswith(("weight", "bias"))
    ]

    def moved(trainer: dict[str, dict[str, torch.Tensor]]) -> float:
        steps = [(trainer[part][key] - still[part][key]).flatten() for part, key in names]
        return torch.cat(steps).norm().item()

    assert moved(clipped) == pytest.approx(0.1 * 0.01, rel=1e-3)
    assert moved(free) > 2 * moved(clipped)
    assert same(free["body"], wide["body"])


# Stopping early, picking -------------------------------------------------------------------------------


def test_a_training_stops_when_the_metric_no_longer_improves(capsys: pytest.CaptureFixture[str]) -> None:
    run = trained(*EARLY)
    found = results(run)
    assert found["selected_by"]["step"] == found["step"] == 2
    assert found["stopped_early"] == {"after": 5, "of": 12}
    assert saved_steps(run)[-1] == 5
    assert events(run, "step")[-1]["step"] == 5, "the last losses are logged as at any other end"
    told = capsys.readouterr().err
    assert "stopped early: no better 'certain' in 3 looks than that of step 2" in told
    assert "finished at step 5" in told
    assert lab("resume", run) == 0
    assert results(run) == found


def test_a_kill_in_the_last_evaluation_makes_no_longer_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its patience was at an end, and is so after the resume."""
    from pluglab.engine.engine import Engine

    def killed(engine: Engine, *_: object, **__: object) -> None:
        raise SystemExit("gone")

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "evaluate_all", killed)
        run = trained(*EARLY, code=1)
    assert not (run / "results.json").exists()
    assert lab("resume", run) == 0
    assert results(run)["stopped_early"] == {"after": 5, "of": 12}
    whole = trained(*EARLY)
    assert results(run)["scalars"] == results(whole)["scalars"]
    assert same(state(run)["trainer"], state(whole)["trainer"])


def test_more_patience_goes_on_with_a_training_that_was_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    run, whole = trained(*EARLY), trained(EVERY_STEP, "select={ metric = 'certain', mode = 'min' }")
    assert lab("resume", run, "--set", "select.patience=20") == 0
    assert "stopped_early" not in results(run)
    assert same(state(run)["trainer"], state(whole)["trainer"])
    stopped = trained(*EARLY, "title=other")
    capsys.readouterr()
    assert lab("extend", stopped, "--set", "steps=40") == 2
    assert "was stopped early at step 5, and would be again" in (told := capsys.readouterr().err)
    assert "--set select.patience=6" in told


def test_two_evaluators_with_one_scalar_are_not_taken_for_each_other() -> None:
    """The second looks more often, and its scores are larger; the first is what the bare name means."""
    two = "evaluate=[{ name = 'certain', every = 4 }, { name = 'certain', every = 2, scale = 5.0 }]"
    run = trained(two, "select={ metric = 'certain' }")
    found = results(run)
    assert found["selected_by"]["value"] == found["scalars"]["certain"] < 1
    assert found["selected_by"]["step"] in (4, 8, 12)
    run = trained(two, "select={ metric = 'certain_2/certain', mode = 'min', oracle = 'certain_2/certain' }")
    found = results(run)
    assert found["selected_by"]["value"] == found["scalars"]["certain_2/certain"] > 1
    assert found["selected_by"]["step"] == 2
    seen = [
        event["scalars"]["certain"] for event in events(run, "evaluation") if event["name"] == "certain_2"
    ]
    assert found["scalars"]["oracle certain_2/certain"] == max(seen)


def test_names_of_scalars_are_the_same_after_a_resume() -> None:
    """The second evaluator looks first when the run goes on; it is still the second."""
    two = "evaluate=[{ name = 'certain', every = 8 }, { name = 'certain', every = 4, scale = 5.0 }]"
    sets = (two, "select={ metric = 'certain' }", "steps=30")
    run = trained(*sets, "trainer.breaks_at=9", "trainer.optimizer.lr=0.2", "log_every=1", code=1)
    assert saved_steps(run)[-1] == 8
    assert lab("resume", run, "--set", "trainer.optimizer.lr=0.01") == 0
    assert results(run)["selected_by"]["value"] < 1


def test_the_checkpoint_is_picked_by_the_source_though_the_target_is_measured_too() -> None:
    recipe = ADAPTATION.replace("[run]", "evaluate = [{ name = 'told', every = 2 }]\n[run]")
    run = trained("select={ metric = 'hits/source', oracle = 'hits/target' }", recipe=recipe)
    found = results(run)
    assert found["selected_by"]["oracle"] is False
    looks = [event["scalars"] for event in events(run, "evaluation") if event["name"] == "told"]
    assert found["selected_by"]["value"] == max(look["hits/source"] for look in looks)
    assert found["scalars"]["oracle hits/target"] == max(look["hits/target"] for look in looks)


def test_a_machine_s_defaults_stand_beside_the_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    Path("lab.toml").write_text("[run]\nkeep_every = 4\n")
    assert saved_steps(trained()) == [4, 8, 12]
    Path("lab.toml").write_text("steps = 3\n")
    assert lab("run", write()) == 2
    assert "'steps' has no place in lab.toml" in capsys.readouterr().err


def test_results_say_what_was_picked_in_every_place() -> None:
    text = RECIPE.replace("batch_size", "seeds = [0, 1]\nbatch_size")
    experiment = made("run", write(text), "--set", EVERY_STEP, "--set", "select={ metric = 'certain' }")
    for name in ("seed0", "seed1"):
        found = results(experiment / name)
        assert found["selected_by"]["metric"] == "certain"
        protocol = json.loads((experiment / name / "run.json").read_text())["protocol"]
        assert protocol["selection"] == "max of certain"
