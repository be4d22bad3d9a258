"""A model guided away from a worse version of itself."""

from __future__ import annotations

import pytest
import torch

import pluglab
from pluglab.errors import UserError
from pluglab_diffusion.sampling import away

from .conftest import spec_of
from .test_ddpm import seeded, set_sampling

RECIPE = {
    "steps": 4,
    "batch_size": 8,
    "checkpoint_every": 2,
    "run": {"keep_every": 2, "precision": "32", "threads": 1},
    "data": {"train": {"name": "digits", "size": 8}},
    "trainer": {
        "name": "flow_matching",
        "ema_half_life": 0.0,
        "optimizer": {"name": "adamw", "lr": 0.05},
        "denoiser": {"name": "unet", "channels": [8], "blocks": [1]},
    },
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run with its checkpoints of steps 2 and 4."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_CACHE", str(folder / "cache"))
        (found,) = pluglab.run(RECIPE, run_dir=folder).folders.values()
    return found


def test_the_guess_goes_away_from_that_of_the_earlier_step(run):
    """D_worse + w (D - D_worse) (Karras et al. 2024, eq. 3), of the same class in both."""
    models = {step: pluglab.load(run, step=step).trainer for step in (2, 4)}
    guided = pluglab.load(run)
    trainer = guided.trainer
    level, x = trainer.process.level(0.6), torch.randn(5, 1, 8, 8, generator=seeded())
    labels = torch.arange(5)
    plain = {}
    for step, model in models.items():
        set_sampling(model, guided.registry, guidance=1.0, clip=False)
        plain[step] = model.clean_image(x, level, labels)
    assert (plain[2] - plain[4]).abs().max() > 1e-3
    for w in (1.0, 2.5):
        set_sampling(trainer, guided.registry, guide=f"{run}@2", guidance=w, clip=False)
        found = trainer.clean_image(x, level, labels)
        torch.testing.assert_close(found, plain[2] + w * (plain[4] - plain[2]))
    set_sampling(trainer, guided.registry, guidance=1.0, clip=False)
    torch.testing.assert_close(trainer.clean_image(x, level, labels), plain[4])


def test_the_guide_is_no_part_of_the_model_and_random_numbers_go_on(run):
    model = pluglab.load(run)
    before, drawn = model.trainer.state_dict().keys(), torch.random.get_rng_state()
    set_sampling(model.trainer, model.registry, guide=f"{run}@2", guidance=2.0)
    assert torch.equal(torch.random.get_rng_state(), drawn)
    assert model.trainer.state_dict().keys() == before and len(list(model.modules())) == 1


def test_a_folder_alone_is_its_reported_step(run):
    model = pluglab.load(run)
    images = []
    for guide in (str(run), f"{run}@4", ""):
        set_sampling(model.trainer, model.registry, guide=guide, guidance=3.0 if guide else 1.0)
        images.append(model.trainer.sample(2, torch.tensor([0, 1]), seeded()))
    torch.testing.assert_close(images[0], images[2], rtol=1e-3, atol=1e-4)  # away from itself is nowhere
    assert torch.equal(images[0], images[1])


def test_outside_of_the_interval_the_guide_is_not_asked(run):
    model = pluglab.load(run)
    trainer = model.trainer
    set_sampling(
        trainer, model.registry, guide=f"{run}@2", guidance=2.0, guidance_interval=(0.3, 0.7), steps=8
    )
    asked, own = [], trainer.guide
    trainer.guide = lambda x, t, labels: asked.append(t[0].item() / 1000) or own(x, t, labels)
    trainer.sample(1, torch.tensor([0]), seeded())
    assert asked and all(0.3 <= share <= 0.7 for share in asked)


def test_an_unconditional_model_can_be_guided_too(build, run, registry):
    trainer = build(spec=spec_of(classes=None), name="flow_matching")
    with pytest.raises(UserError, match="guidance 2 needs"):
        set_sampling(trainer, registry, guidance=2.0)
    with pytest.raises(UserError, match="does not predict what this model does"):  # that one knows classes
        set_sampling(trainer, registry, guidance=2.0, guide=str(run))
    assert trainer.sampling.guide == ""


@pytest.mark.parametrize(
    ("guide", "words"), [("{}@3", "no whole checkpoint of step 3"), ("nowhere@2", "nowhere")]
)
def test_a_guide_that_is_not_there(run, guide, words):
    model = pluglab.load(run)
    with pytest.raises(UserError, match=words):
        set_sampling(model.trainer, model.registry, guide=guide.format(run))


def test_away_with_the_spread_brought_back():
    better, worse = torch.randn(2, 4, 1, 5, 5)
    found = away(better, worse, 3.0, rescale=1.0)
    torch.testing.assert_close(found.std((1, 2, 3)), better.std((1, 2, 3)))
