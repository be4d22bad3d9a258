"""Evaluators of generated images on translated ones: scores whose values are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from pluglab.capabilities import Classifies, Samples, Translates, can
from pluglab.data import Images
from pluglab.errors import UserError
from pluglab.protocols import EvaluationContext
from tests.evaluation import looked, role_data
from tests.metrics.models import Inverter

SCORE = {"name": "generation_quality", "feature_extractor": "pool"}
READ = {"name": "generation_quality", "metrics": ["class_accuracy"], "feature_extractor": "labeler", "n": 40}


class Idle(Inverter):
    """Leaves images as they are."""

    def translate(self, images: Tensor, role: str, to: str) -> Tensor:
        return images


def flat() -> Images:
    """40 flat images, whose brightness is their class."""
    labels = torch.arange(40) % 10
    pixels = (labels * 255 / 9).round().to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 8, 8).contiguous()
    return Images(pixels, labels, tuple("0123456789"))


@pytest.fixture
def score(
    build: Callable[..., Any], domains: dict[str, Images], context: EvaluationContext
) -> Callable[..., Any]:
    """What `translated` says of a trainer; by default of digits and of inverted ones."""

    def score(trainer: Any, roles: Any = None, **options: Any) -> Any:
        return looked(build("evaluator", "translated", **options), trainer, roles or domains, context)

    return score


def test_a_translator_has_the_capability() -> None:
    assert can(Inverter, Translates) and not can(Inverter, Samples)
    half = type("Half", (), {"translate": Inverter.translate})
    assert not can(half, Translates)


def test_a_perfect_translation_is_at_no_distance_and_none_is_far(
    score: Callable[..., Any], domains: dict[str, Images]
) -> None:
    """The target is the inverted source, and each image is translated once: the two sets are one."""
    count = len(domains["source"])
    inner = {**SCORE, "metrics": ["fid", "precision_recall"], "n": count, "split": "test"}
    name = f"source_to_target_fid_{count}/pool"
    perfect, idle = (score(trainer, evaluator=inner).found for trainer in (Inverter(), Idle()))
    assert abs(perfect.scalars[name]) < 1e-3 < 100 < idle.scalars[name]
    assert perfect.scalars[f"source_to_target_precision_{count}/pool"] == 1
    assert perfect.headline[0] == name and perfect.better[name] == "min"


def test_sliced_wasserstein_of_translated_images(
    score: Callable[..., Any], domains: dict[str, Images]
) -> None:
    """A perfect translation is as far as real images are from others; here of one draw of halves."""
    inner = {"name": "sliced_wasserstein", "n": 400, "patches": 8, "directions": 32}
    found = [score(trainer, evaluator=inner).found.scalars for trainer in (Inverter(), Idle())]
    perfect, idle = (one["source_to_target_sliced_wasserstein_400/mean"] for one in found)
    real = found[0]["source_to_target_sliced_wasserstein_400/real"]
    assert perfect < 1.5 * real < 5 * real < idle


def test_the_other_way_where_it_is_asked_for(score: Callable[..., Any]) -> None:
    found = score(Inverter(), role="target", evaluator={"name": "sample_grid"})
    assert found.promise == {} and not found.labels_read
    assert set(found.found.figures) == {"target_to_source_pairs", "target_to_source_samples"}
    assert len(found.found.figures["target_to_source_pairs"].data["row"]) == 10


def test_each_image_is_translated_once_before_any_is_again(score: Callable[..., Any]) -> None:
    trainer, images = Inverter(), flat()
    inner = {**SCORE, "metrics": ["kid"], "n": 60, "batch_size": 20}
    score(trainer, {"source": images, "target": images}, evaluator=inner)
    batches = [batch.mean((1, 2, 3)).add(1).mul(4.5).round().long() for batch in trainer.asked]
    assert [len(batch) for batch in batches] == [20, 20, 20, 10]  # the last is the picture's
    assert torch.equal(torch.cat(batches[:2]).bincount(), torch.full((10,), 4))


@pytest.mark.parametrize(("trainer", "right"), [(Idle(), 100.0), (Inverter(), 0.0)])
def test_translations_are_read_as_the_class_of_their_originals(
    score: Callable[..., Any], trainer: Any, right: float
) -> None:
    """Inverted, class k looks like class 9 - k."""
    found = score(trainer, {"source": flat(), "target": flat()}, evaluator=READ, by_class=True)
    assert found.found.scalars == {"source_to_target_class_accuracy_40/labeler": right}
    assert found.promise == {"source_to_target_class_accuracy_40/labeler": ["source", "target"]}
    assert found.labels_read == {"source", "target"}


def test_the_protocol_says_which_images_were_translated(
    score: Callable[..., Any], domains: dict[str, Images]
) -> None:
    inner = {**SCORE, "metrics": ["kid"], "n": 50}
    one, other = (score(Inverter(), evaluator=inner, split=split).found for split in ("test", "train"))
    assert one.protocol["generated images"] == "50"
    assert "test" in one.protocol["translated images"] and one.protocol != other.protocol


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"role": "source", "to": "source"}, "does not translate from source to source"),
        ({"to": "elsewhere"}, "does not translate from any role to elsewhere"),
        ({"split": "nowhere"}, "there is no split 'nowhere'"),
        ({"evaluator": "accuracy"}, "'accuracy' needs a trainer that can classify images; what translates"),
        ({"evaluator": READ}, "needs a trainer that makes images of a class asked for"),
    ],
)
def test_what_cannot_be_is_told_before_the_training(
    build: Callable[..., Any], domains: dict[str, Images], options: dict[str, Any], message: str
) -> None:
    evaluator = build("evaluator", "translated", **{"evaluator": "sample_grid", **options})
    with pytest.raises(UserError, match=message) as told:
        evaluator.check(Inverter(), role_data(domains, checking=True))
    assert told.value.help


def test_classes_of_data_that_has_none(build: Callable[..., Any]) -> None:
    images = Images(flat().pixels)
    evaluator = build("evaluator", "translated", evaluator="sample_grid", by_class=True)
    with pytest.raises(UserError, match="images of 'source' have no classes to choose by"):
        evaluator.check(Inverter(), role_data({"source": images, "target": images}, checking=True))


def test_a_class_without_images(build: Callable[..., Any], context: EvaluationContext) -> None:
    few = Images(flat().pixels[:5], flat().labels[:5], flat().classes)
    evaluator = build("evaluator", "translated", evaluator=READ, by_class=True)
    with pytest.raises(UserError, match="'source' has no image of class '"):
        evaluator.evaluate(Inverter(), role_data({"source": few, "target": flat()}), context)


def test_a_view_of_translations_cannot_what_the_trainer_can(build: Callable[..., Any]) -> None:
    """Images of the other role are not the trainer's to classify."""
    trainer = type("Both", (Inverter,), {"predict": lambda self, images, role: images})()
    assert can(trainer, Classifies)
    evaluator = build("evaluator", "translated", evaluator="accuracy")
    with pytest.raises(UserError, match="what translates images cannot"):
        evaluator.check(trainer, role_data({"source": flat(), "target": flat()}, checking=True))
