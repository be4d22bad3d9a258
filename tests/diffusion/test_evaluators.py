from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pluglab.capabilities import can
from pluglab.components import config_class
from pluglab.engine.untouched import evaluating
from pluglab.errors import UserError
from pluglab.evaluating import noise
from pluglab.plugins.registry import Registrar
from pluglab.protocols import DataContext, Evaluation, Samples, Table
from pluglab.recipe.resolve import make
from tests.evaluation import context_in
from tests.registries import registry_of

from .conftest import spec_of

ENTRIES = [entry for entry in registry_of("diffusion") if entry.plugin == "diffusion"]
PAGE = (Path(__file__).parents[2] / "docs" / "diffusion.md").read_text(encoding="utf-8")


@pytest.fixture
def context(tmp_path):
    return context_in(tmp_path)


def awake(trainer):
    """With weights where the network starts with zeros, which let neither noise nor class through."""
    for parameter in trainer.ema.network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.3)
    return trainer


@pytest.fixture
def pictures(registry, context):
    """The arrays of `reverse_process` with these options, by the figures' names."""

    def pictures(trainer, **options):
        evaluator = make(registry, "evaluator", "reverse_process", **options).build()
        with evaluating(trainer, 0):
            found = evaluator.evaluate(trainer, {}, context).figures
        return {name: figure.array for name, figure in found.items()}

    return pictures


@pytest.mark.parametrize(
    "spec", [spec_of(), spec_of(channels=3, classes=None), spec_of(channels=2), spec_of(channels=4)]
)
def test_a_strip_and_an_animation_of_any_model(pictures, build, spec):
    figures = pictures(build(spec=spec), animated=4, animation_frames=5, columns=2)
    assert figures["strip"].dtype == np.uint8 and figures["strip"].shape[2] == 3
    frames, height, width, channels = figures["animation"].shape
    assert (frames, channels) == (5, 3)
    if spec.channels in (1, 3):
        assert abs(height - width) <= 8  # two rows of two


def test_the_same_sample_at_every_call_and_another_class_where_asked_for(pictures, build):
    trainer = awake(build())
    options = {"animated": 1, "animation_frames": 2}
    strips = [pictures(trainer, label=label, **options)["strip"] for label in (0, 0, 1)]
    assert np.array_equal(strips[0], strips[1]) and not np.array_equal(strips[0], strips[2])


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_both_pictures_explain_the_first_samples_of_the_runs_seed(
    build, registry, context, monkeypatch, sampler
):
    """Each begins with the noise of the sample that `sample_grid` shows in that place, and ends as it."""
    trainer = awake(build(sampling={"sampler": sampler, "steps": 10, "spacing": 1.0}))
    grid = trainer.sample(32, torch.arange(32) % 3, noise(context))
    traced, trajectory = [], trainer.trajectory
    monkeypatch.setattr(trainer, "trajectory", lambda *asked: traced.append(trajectory(*asked)) or traced[-1])
    options = {"frames": 6, "label": 2, "animated": 5, "animation_frames": 11}
    with evaluating(trainer, 0):
        make(registry, "evaluator", "reverse_process", **options).build().evaluate(trainer, {}, context)
    (_, strip), (_, animation) = traced
    torch.testing.assert_close(strip[-1, 0], grid[2])
    torch.testing.assert_close(animation[-1], grid[:5])


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.kind}-{entry.name}")
def test_component_and_its_options_are_documented(entry):
    assert f"`{entry.name}`" in PAGE
    options = config_class(entry).model_fields
    assert not [name for name in options if f"`{name}`" not in PAGE]
    assert not [name for name, info in options.items() if not info.description]


class Count:
    """An evaluator that says how often the model is asked and what it draws."""

    needs = (Samples,)

    def __init__(self) -> None:
        self.prepared = 0

    def prepare(self, context: DataContext) -> None:
        self.prepared += 1

    def evaluate(self, trainer, data, context):
        image = trainer.sample(1, None, torch.Generator().manual_seed(0))
        table = Table(("steps",), [(trainer.sampling.steps,)])
        figure = np.zeros((2, 2, 3), np.uint8)
        return Evaluation(
            {"mean": image.mean().item()}, {"one": figure}, {"options": table}, headline=("mean",)
        )


@pytest.fixture
def registry_with_count():
    registry, registrar = registry_of("diffusion", "metrics"), Registrar("counts")
    registrar.add("evaluator", "count", Count)
    registry.extend(registrar.entries)
    return registry


def test_an_evaluator_sees_other_options_of_sampling_and_the_model_keeps_its_own(
    registry_with_count, build, context
):
    trainer = awake(build())
    before = trainer.sampling
    options = {"sampler": "ddim", "steps": 3}
    evaluator = make(
        registry_with_count, "evaluator", "sampled_with", evaluator="count", sampling=options
    ).build()
    assert all(can(type(trainer), need) for need in evaluator.needs)
    evaluator.prepare(DataContext(None, Path(), lambda *a: None))  # type: ignore[arg-type]
    assert evaluator.inner.evaluator.prepared == 1
    found = evaluator.evaluate(trainer, {}, context)
    assert trainer.sampling is before
    assert found.tables["ddim_3_options"].rows == [(3,)] and set(found.figures) == {"ddim_3_one"}
    assert found.headline == ("ddim_3_mean",) and found.scalars["ddim_3_seconds"] > 0
    plain = Count().evaluate(trainer, {}, context).scalars["mean"]
    assert found.scalars["ddim_3_mean"] != plain


def test_the_models_own_options_come_back_after_an_error(registry_with_count, build, context):
    trainer = build()
    before = trainer.sampling
    evaluator = make(
        registry_with_count, "evaluator", "sampled_with", evaluator="count", sampling={"steps": 51}
    )
    with pytest.raises(UserError, match="more than the model's 50"):
        evaluator.build().evaluate(trainer, {}, context)
    assert trainer.sampling is before
