"""What the evaluators of diffusion models say before the training, and what they refuse."""

from __future__ import annotations

import pytest
import torch

from pluglab.capabilities import Classifies, Samples
from pluglab.data import Images
from pluglab.errors import UserError
from pluglab.figures import save_figure
from pluglab.plugins.registry import Registrar
from pluglab.protocols import Evaluation, Figure
from pluglab.recipe.resolve import make
from tests.evaluation import context_in, looked, role_data
from tests.registries import registry_of

from .conftest import CLASSES, spec_of

IMAGES = {"train": Images(torch.zeros(6, 1, 8, 8, dtype=torch.uint8), torch.arange(6) % 3, CLASSES)}
QUICK = {"frames": 2, "animated": 1, "animation_frames": 2}


class Brightness:
    """Two scores of one sample, one of which reads labels; a protocol only if it is asked for."""

    needs = (Samples,)
    protocol = {"images": 1}

    def check(self, trainer, data):
        if trainer.sampling.steps > 40:
            raise UserError("too slow")
        return {"mean": (), "labeled": ("train",)}

    def evaluate(self, trainer, data, context):
        mean = trainer.sample(1, None, torch.Generator().manual_seed(0)).mean().item()
        labels = data["train"]["test"].labels.float().mean().item()
        own = {"labeled": {"labels": "all"}}
        scalars = {"mean": mean, "labeled": mean + labels}
        return Evaluation(scalars, headline=("mean",), protocol=self.protocol, protocols=own)


class Bare(Brightness):
    protocol = {}


class Silent:
    """Says nothing beforehand."""

    needs: tuple[type, ...] = ()

    def evaluate(self, trainer, data, context):
        return Evaluation({"one": 1.0})


class NeedsClassifier(Silent):
    needs = (Classifies,)


class Film:
    """A still, and how many there were before."""

    needs = ()

    def evaluate(self, trainer, data, context):
        array = torch.zeros(2, 2, 3, dtype=torch.uint8).numpy()
        return Evaluation(
            {"before": float(len(context.earlier("still")))}, {"still": Figure(array, "A still")}
        )


@pytest.fixture
def context(tmp_path):
    return context_in(tmp_path)


@pytest.fixture
def evaluator():
    registry, registrar = registry_of("diffusion", "metrics"), Registrar("inner")
    for inner in (Brightness, Bare, Silent, NeedsClassifier, Film):
        registrar.add("evaluator", inner.__name__.lower(), inner)
    registry.extend(registrar.entries)
    return lambda name, **options: make(registry, "evaluator", name, **options).build()


def test_every_evaluator_is_here(registry):
    names = {entry.name for entry in registry.entries("evaluator") if entry.plugin == "diffusion"}
    assert names == {"reverse_process"}


# Pictures of the reverse process -----------------------------------------------------------------------


def test_the_reverse_process_promises_no_scalar(build, evaluator, context):
    found = looked(evaluator("reverse_process", **QUICK), build(), IMAGES, context)
    assert found.promise == {} == found.found.scalars and not found.labels_read
    assert set(found.found.figures) == {"strip", "animation"}
    assert all(figure.caption for figure in found.found.figures.values())


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        (spec_of(), {"label": 3}, "class 3, and the model knows 0 to 2"),
        (spec_of(), {"frames": 7}, "7 frames of a reverse process of 5 levels"),
        (spec_of(classes=None), {"animation_frames": 7}, "7 frames of a reverse process of 5 levels"),
    ],
)
def test_more_frames_than_levels_and_unknown_classes_are_refused(build, evaluator, spec, options, message):
    trainer = build(spec=spec, timesteps=5, sampling={"steps": 5})
    with pytest.raises(UserError, match=message) as told:
        evaluator("reverse_process", **{**QUICK, **options}).check(trainer, role_data(IMAGES, checking=True))
    assert told.value.help


def test_as_many_frames_as_there_are_levels_and_the_last_class_are_fine(build, evaluator, context):
    trainer = build(timesteps=5, sampling={"steps": 5})
    options = {"frames": 6, "animation_frames": 6, "animated": 1, "label": 2}
    found = looked(evaluator("reverse_process", **options), trainer, IMAGES, context).found
    assert len(found.figures["animation"].array) == 6


# Evaluators under other options of sampling ------------------------------------------------------------


def test_what_the_inner_evaluator_promises_is_promised_under_the_title(build, evaluator, context):
    found = looked(evaluator("sampled_with", evaluator="brightness", title="fast"), build(), IMAGES, context)
    assert found.promise == {"fast_mean": (), "fast_labeled": ("train",), "fast_seconds": ()}
    assert list(found.found.scalars) == list(found.promise) and found.labels_read == {"train"}
    assert found.found.protocols == {"fast_labeled": {"labels": "all"}}


def test_an_inner_evaluator_that_says_nothing_leaves_it_open(build, evaluator, context):
    found = looked(evaluator("sampled_with", evaluator="silent"), build(), IMAGES, context)
    assert found.promise is None
    assert set(found.found.scalars) == {"default_one", "default_seconds"}


def test_options_of_sampling_and_of_the_inner_evaluator_are_the_protocol(build, evaluator, context):
    """Its options stand in for a protocol that it does not give."""
    protocols = []
    for inner, steps in (("brightness", 3), ("brightness", 4), ("bare", 3)):
        options = {"evaluator": inner, "sampling": {"steps": steps}}
        found = looked(evaluator("sampled_with", **options), build(), IMAGES, context).found
        assert found.protocol["sampling"]["steps"] == steps
        protocols.append(found.protocol)
    assert protocols[0]["images"] == protocols[1]["images"] == 1 and protocols[0] != protocols[1]
    assert protocols[2]["name"] == "bare"


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        (spec_of(), {"sampling": {"steps": 51}}, "51 sampling steps are more than the model's 50"),
        (
            spec_of(classes=None),
            {"sampling": {"guidance": 2.0}},
            "guidance 2 needs a class-conditional model",
        ),
        (
            spec_of(),
            {"sampling": {"steps": 41}},
            "too slow",
        ),  # what the inner evaluator finds in these options
        (spec_of(), {"evaluator": "needsclassifier"}, "'needsclassifier' needs a trainer that can classify"),
    ],
)
def test_what_cannot_work_is_told_before_the_training(build, evaluator, spec, options, message):
    trainer = build(spec=spec)
    before = trainer.sampling
    with pytest.raises(UserError, match=message):
        evaluator("sampled_with", **{"evaluator": "brightness", **options}).check(
            trainer, role_data(IMAGES, checking=True)
        )
    assert trainer.sampling is before


def test_a_trainer_whose_sampling_is_no_options_is_refused(evaluator):
    class Other:
        sampling = 3

    with pytest.raises(
        UserError, match="Other keeps its options of sampling as int, and can be given no others"
    ) as told:
        evaluator("sampled_with", evaluator="silent").check(Other(), role_data(IMAGES, checking=True))
    assert told.value.help


def test_an_inner_film_finds_its_stills_of_before(build, evaluator, context, tmp_path):
    """They are filed under their title."""
    stills = []
    here = context_in(
        tmp_path, earlier=lambda name: [path for path in stills if path.stem.partition("_")[2] == name]
    )
    film = evaluator("sampled_with", evaluator="film", title="fast")
    for expected in (0, 1, 2):
        found = film.evaluate(build(), role_data(IMAGES), here)
        assert found.scalars["fast_before"] == expected
        (name,) = found.figures
        file = save_figure(found.figures[name], tmp_path / f"{len(stills)}_{name}")["file"]
        stills.append(tmp_path / file)
