"""Masks go from the data set to the loss and to the score, which are those of their definitions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pluglab
import pytest
import torch
import torch.nn.functional as F
from pluglab import Batch, ImageSpec
from pluglab.protocols import Progress
from pluglab.testing import Subject, components, faults

from pluglab_segmentation.iou import iou_of
from pluglab_segmentation.scenes import CLASSES, edges

SMALL = {"trainer/segmenter": {"width": 2}, "dataset/scenes": {"count": 20}}
SPEC = ImageSpec(3, 16, 16, 4, CLASSES)


@pytest.mark.parametrize("component", components("pluglab-segmentation", options=SMALL), ids=str)
def test_nothing_is_wrong_with(component: Subject) -> None:
    assert faults(component) == []


def test_iou_is_that_of_its_definition() -> None:
    """10 pixels of the first class, 3 of them taken for the second, whose 5 are right; none of the third."""
    confusion = torch.tensor([[7, 3, 0], [0, 5, 0], [0, 0, 0]])
    found = iou_of(confusion)
    assert found[:2].tolist() == [7 / 10, 5 / 8] and found[2].isnan()


def test_masks_are_where_the_shapes_are() -> None:
    """Without noise, pixels of one shape have one color, and most edges of colors are edges of masks."""
    scenes = pluglab.component("dataset", "scenes", count=30, noise=0.0, shapes=1, size=32).build()
    images = scenes.split("test")
    assert images.labels.shape == (30, 32, 32) and images.labels.unique().tolist() == [0, 1, 2, 3]
    for pixels, mask in zip(images.pixels, images.labels, strict=True):
        if (shape := mask > 0).any():
            assert len(pixels[:, shape].unique(dim=1)[0]) == 1


def test_pixels_at_edges_count_more() -> None:
    mask = torch.zeros(1, 4, 4, dtype=torch.int64)
    mask[0, 0, 0] = 1
    expected = torch.zeros(4, 4, dtype=torch.bool)
    expected[[0, 0, 1], [0, 1, 0]] = True
    assert torch.equal(edges(mask)[0], expected)
    images = pluglab.component("dataset", "scenes", count=3, edge_weight=4.0).build().split("train")
    assert images.extra["weight"].unique().tolist() == [1, 5]
    assert torch.equal(images.extra["weight"] == 5, edges(images.labels))


class Constant(torch.nn.Module):
    """The same logits for every pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(torch.tensor([1.0, 0.0, -1.0, 2.0]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.logits.view(1, 4, 1, 1).expand(len(images), -1, *images.shape[2:])


@pytest.fixture
def trainer() -> Any:
    trainer = pluglab.component("trainer", "segmenter", width=2).build({"train": SPEC})
    trainer.network = Constant()
    trainer.update = lambda optimizer, loss: None
    return trainer


@pytest.mark.parametrize("weighted", [True, False])
def test_the_loss_is_the_weighted_mean_over_pixels(trainer: Any, weighted: bool) -> None:
    labels = torch.randint(4, (2, 16, 16))
    weight = 1 + 3 * torch.rand(2, 16, 16)
    batch = Batch(torch.zeros(2, 3, 16, 16), labels, {"weight": weight} if weighted else {})
    found = trainer.step({"train": batch}, Progress(0, 1))["loss"]
    log_p = F.log_softmax(torch.tensor([1.0, 0.0, -1.0, 2.0]), 0)[labels]
    share = weight / weight.sum() if weighted else torch.full_like(weight, 1 / weight.numel())
    torch.testing.assert_close(found, -(share * log_p).sum())


def test_labels_of_whole_images_are_refused(trainer: Any) -> None:
    batch = {"train": Batch(torch.zeros(2, 3, 16, 16), torch.zeros(2, dtype=torch.int64))}
    with pytest.raises(pluglab.UserError, match="a class for each pixel"):
        trainer.step(batch, Progress(0, 1))


def test_the_recipe_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Better than a guess of the ground everywhere, whose mean over four classes is below 25."""
    monkeypatch.chdir(tmp_path)
    data = {"train": {"size": 16, "count": 200, "noise": 0.0, "shapes": 3}}
    machine = {"threads": 1, "precision": "32"}
    runs = pluglab.run("segmenter_scenes", steps=80, data=data, evaluate=["iou"], run=machine)
    assert runs.scalars["iou/train"] > 27
    rows = runs.results["evaluations"]["iou"]["tables"]["train"]["rows"]
    assert [name for name, _ in rows] == list(CLASSES)
    assert runs.figures()["iou_train"].is_file()
