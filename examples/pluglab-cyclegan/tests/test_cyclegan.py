"""The losses are those of the paper, translations go from a recipe to their scores, and ink is ink."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pluglab
import pytest
import torch
from pluglab import ImageSpec
from pluglab.testing import Subject, components, faults

SMALL = {"trainer/cyclegan": {"width": 4, "blocks": 1}}


@pytest.mark.parametrize("component", components("pluglab-cyclegan", options=SMALL), ids=str)
def test_nothing_is_wrong_with(component: Subject) -> None:
    assert faults(component) == []


@pytest.fixture
def trainer() -> Any:
    specs = {"x": ImageSpec(1, 8, 8, 4), "y": ImageSpec(1, 8, 8, 4)}
    return pluglab.component("trainer", "cyclegan", width=4, blocks=1).build(specs)


class Add(torch.nn.Module):
    """Adds a number to every value."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = number

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.number


def test_the_losses_of_generators_are_the_papers(trainer: Any) -> None:
    """G adds 0.3 and F takes 0.1 away; each discriminator says the image's mean, x is 0 and y is 0.5.

    Adversarial, eq. 1 with squares: (0.3 - 1)^2 + (0.4 - 1)^2. Cycle, eq. 2: |0.2| + |0.2|. Identity,
    section 5.2: |G(y) - y| + |F(x) - x| = 0.3 + 0.1. Discriminators: half of (0 - 1)^2 + 0.4^2 for x, half of
    (0.5 - 1)^2 + 0.3^2 for y.
    """
    trainer.generators = torch.nn.ModuleDict({"x": Add(0.3), "y": Add(-0.1)})
    trainer.discriminators = torch.nn.ModuleDict({"x": Add(0.0), "y": Add(0.0)})
    images = {"x": torch.zeros(2, 1, 8, 8), "y": torch.full((2, 1, 8, 8), 0.5)}
    made = {to: trainer.translate(images[role], role, to) for role, to in trainer.translations}
    found = {name: loss.item() for name, loss in trainer._generator_losses(images, made).items()}
    assert found == pytest.approx({"adversarial": 0.49 + 0.36, "cycle": 0.4, "identity": 0.4})
    judged = {role: trainer._discriminator_loss(role, images[role], made[role]).item() for role in images}
    assert judged == pytest.approx({"x": (1 + 0.16) / 2, "y": (0.25 + 0.09) / 2})


def test_images_of_two_sizes_are_refused() -> None:
    specs = {"x": ImageSpec(1, 8, 8, 4), "y": ImageSpec(1, 16, 16, 4)}
    with pytest.raises(pluglab.UserError, match="it wants both roles' images of one size"):
        pluglab.component("trainer", "cyclegan").build(specs)


def test_ink_is_written_on_paper() -> None:
    """Black is paper, white is ink, and the level 51 lies a fifth of the way."""
    inked = pluglab.component("dataset", "inked", ink=[0, 10, 20], paper=[200, 210, 220]).build()
    pixels = torch.tensor([0, 255, 51], dtype=torch.uint8).view(1, 1, 1, 3)
    inked.dataset.split = lambda name: pluglab.Images(pixels)
    assert inked.split("train").pixels[0, :, 0].T.tolist() == [[200, 210, 220], [0, 10, 20], [160, 170, 180]]


def test_translations_are_scored_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    score = {"name": "sliced_wasserstein", "n": 40, "patches": 4, "directions": 8}
    uses = [{"name": "translated", "role": "y", "evaluator": score}]
    machine = {"threads": 1, "precision": "32"}
    runs = pluglab.run("cyclegan_digits", steps=4, trainer={"width": 4}, evaluate=uses, run=machine)
    assert "y_to_x_sliced_wasserstein_40/mean" in runs.scalars
    assert runs.figures()["translated_y_to_x_pairs"].is_file()
    model = runs.load()
    pixels = torch.randint(256, (3, 3, 16, 16), dtype=torch.uint8)
    there = model.translate(pixels, "x", "y")
    assert there.dtype == torch.uint8 and there.shape == pixels.shape
    assert torch.equal(model.translate(pixels), there)  # the first of its translations
    assert not torch.equal(model.translate(pixels, "y"), there)
    with pytest.raises(pluglab.UserError, match="does not translate so"):
        model.translate(pixels, "x", "x")
