"""Whether images are still within [-1, 1] when they reach a trainer that makes such images itself."""

from __future__ import annotations

import torch
from torch import Tensor

from pluglab.capabilities import Samples, can
from pluglab.data.batches import transformed
from pluglab.data.run_data import RunData
from pluglab.images import ImageSpec

TRIED = 8  # images
ROUNDING = 1e-3


def check_range(data: RunData) -> None:
    """Raises `RecipeError` where a trainer that can sample is given images that transforms took out of range.

    It would learn to make the like, and both they and the real images would be clipped wherever they are
    shown or scored. Found out by trying the transforms on black, white and noise.
    """
    trainer = data.recipe.options.trainer
    for role, transforms in data.transforms.items() if can(trainer.target, Samples) else ():
        images, left = _extremes(data.split(role, "train").spec), ""
        for source, transform in zip(data.recipe.data[role].transforms, transforms, strict=True):
            images = transformed(images, [transform], seed=0)
            within = bool(images.abs().max() <= 1 + ROUNDING)
            left = "" if within else left or source.name
        if left:
            message = f"transform '{left}' takes images out of [-1, 1], and '{trainer.name}' makes such ones"
            way = f"leave '{left}' out of the transforms of '{role}'"
            raise data.recipe.error(("data", role, "transforms"), message, help=[way])


def _extremes(spec: ImageSpec) -> Tensor:
    """Noise in [-1, 1], in black and white from the middle on; the first two are black and white alone."""
    images = torch.rand(TRIED, *spec.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    images[TRIED // 2 :] = images[TRIED // 2 :].sign()
    images[0], images[1] = -1, 1
    return images
