"""Images that are not square, or have two or four channels: trained on and made, or refused before it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pluglab.errors import UserError
from pluglab.protocols import Batch, ImageSpec, Progress
from pluglab.recipe.resolve import make
from pluglab.training import set_mode

SMALL = {"width": 2, "latent_size": 8, "mapping_depth": 2, "attention_heads": 1}
METHODS: dict[str, dict[str, Any]] = {
    "dcgan": {"diff_augment": ["color", "translation", "cutout"], "r1": 1.0},
    "sngan": {"gradient_penalty": 1.0},
    "sagan": {},
    "acgan": {},
    "projection_gan": {},
    "r3gan": {"penalty_every": 1},
    "stylegan2_lite": {**SMALL, "minibatch_deviation": 2},
}
SHAPES = [(2, 32, 32), (4, 32, 32), (3, 32, 48), (2, 64, 32), (3, 33, 32), (3, 7, 9), (1, 1, 1)]


@pytest.mark.parametrize("method", [*METHODS, "acgan printed"])
@pytest.mark.parametrize(("channels", "height", "width"), SHAPES)
def test_every_shape_is_trained_on_and_made_or_refused(build, registry, method, channels, height, width):
    name, _, preset = method.partition(" ")
    options: dict[str, Any] = {**METHODS[name], **({"preset": preset} if preset else {})}
    spec = ImageSpec(channels, height, width, 100, ("a", "b"))
    if height != width or height < 8:
        with pytest.raises(UserError, match=f"cannot take images of {height} x {width}: it wants") as told:
            make(registry, "trainer", name, **options).build({"train": spec})
        assert told.value.help
        return
    trainer = build(name, spec=spec, **options)
    images = torch.rand(4, *spec.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    figures = trainer.step({"train": Batch(images, torch.tensor([0, 1, 0, 1]))}, Progress(0, 2))
    assert all(figure.isfinite() for figure in figures.values())
    set_mode(trainer, "eval")
    made = trainer.sample(3, None, torch.Generator().manual_seed(0))
    assert made.shape == (3, *spec.shape) and made.abs().max() <= 1
