"""Sliced Wasserstein distance between patches of real and generated images (Karras et al. 2018, section 5).

It needs no network, so it also serves where there are neither Inception's weights nor labels.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pluglab.capabilities import Samples
from pluglab.data import to_uint8
from pluglab.errors import UserError
from pluglab.evaluating import (
    ReferenceOptions,
    RoleData,
    batches_at,
    classes_of,
    labels_like,
    noise,
    reference_split,
    sample_batches,
    sample_rows,
)
from pluglab.protocols import Better, Evaluation, EvaluationContext, EvaluationData
from pluglab_metrics.quality import format_count, keep_classes

PATCH = 7  # pixels
SMALLEST = 16  # size of the pyramid's last level
DIRECTIONS = 128  # projected at a time


def down(images: Tensor) -> Tensor:
    """N x C x H x W blurred by the binomial 5 x 5 filter, every second pixel kept (Burt and Adelson 1983)."""
    return _blurred(images)[..., ::2, ::2]


def up(images: Tensor) -> Tensor:
    """N x C x H x W to twice the size: zeros between the pixels, then the same filter times four."""
    n, c, h, w = images.shape
    spread = images.new_zeros(n, c, 2 * h, 2 * w)
    spread[..., ::2, ::2] = 4 * images
    return _blurred(spread)


def _blurred(images: Tensor) -> Tensor:
    weights = images.new_tensor([1, 4, 6, 4, 1]) / 16
    channels = images.shape[1]
    kernel = torch.outer(weights, weights).expand(channels, 1, 5, 5)
    return F.conv2d(F.pad(images, (2, 2, 2, 2), mode="reflect"), kernel, groups=channels)


def laplacian_pyramid(images: Tensor) -> list[Tensor]:
    """Details at each size, the finest first, and what remains at about 16 pixels."""
    levels = []
    while min(images.shape[2:]) >= 2 * SMALLEST and not any(side % 2 for side in images.shape[2:]):
        smaller = down(images)
        levels.append(images - up(smaller))
        images = smaller
    return [*levels, images]


def patches(images: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` random 7 x 7 patches of each of N images: (N count) x C x 7 x 7."""
    n, c, height, width = images.shape
    windows = images.unfold(2, PATCH, 1).unfold(3, PATCH, 1)
    rows = torch.randint(height - PATCH + 1, (n, count), generator=generator)
    columns = torch.randint(width - PATCH + 1, (n, count), generator=generator)
    return windows[torch.arange(n)[:, None], :, rows, columns].reshape(n * count, c, PATCH, PATCH)


def normalized(found: Tensor) -> Tensor:
    """Patches as vectors, each channel with mean 0 and deviation 1 over all patches."""
    deviation, mean = torch.std_mean(found, dim=(0, 2, 3), keepdim=True, correction=0)
    return ((found - mean) / deviation.clamp(min=1e-8)).flatten(1)


def sliced_wasserstein(a: Tensor, b: Tensor, directions: int, generator: torch.Generator) -> float:
    """Mean over random unit directions of the 1-Wasserstein distance of two projected N x d samples."""
    distances = []
    for start in range(0, directions, DIRECTIONS):
        count = min(DIRECTIONS, directions - start)
        axes = F.normalize(torch.randn(a.shape[1], count, generator=generator), dim=0)
        # numpy sorts ten times as fast as torch does on a CPU.
        first, second = (np.sort((axes.T @ rows.T).numpy(), axis=1) for rows in (a, b))
        distances.append(np.abs(first - second).mean(1))
    return float(np.concatenate(distances).mean())


class SlicedWasserstein:
    """Sliced Wasserstein distance, times 1,000, of patches of generated and real images at each scale.

    Fine scales are about sharpness and noise, coarse ones about structure and color. Each scalar's name
    holds the number of images; `real` is the distance between two sets of real images, which no model can
    beat on average.
    """

    class Config(ReferenceOptions):
        n: int = Field(1_000, ge=2)
        """Generated images, compared with as many real ones: half of those that there are at most."""
        patches: int = Field(128, ge=1)
        """Patches of 7 x 7 pixels taken from an image at each scale."""
        directions: int = Field(512, ge=1)
        """Random directions that the patches are projected on."""

    needs: ClassVar[tuple[type, ...]] = (Samples,)

    def __init__(self, config: Config) -> None:
        self.config = config

    def check(self, trainer: Any, data: RoleData) -> Mapping[str, Collection[str]]:
        """A distance for each scale of the images."""
        real = reference_split(data, self.config.role, self.config.split, "sliced_wasserstein")
        height, width = real.spec.height, real.spec.width
        large = min(height, width) >= PATCH
        real.spec.require(large, "'sliced_wasserstein'", f"{PATCH} pixels a side or more")
        if real.spec.count < 4:
            raise UserError(
                f"'sliced_wasserstein' needs two sets of real images, and there are {real.spec.count}"
            )
        levels = laplacian_pyramid(torch.zeros(1, 1, height, width))
        sizes = [str(level.shape[2]) for level in levels]
        roles = (real.role,) if classes_of(trainer) and real.labeled else ()
        name = f"sliced_wasserstein_{format_count(self._count(real))}"
        return {f"{name}/{key}": roles for key in (*sizes, "mean", "real")}

    def _count(self, real: EvaluationData) -> int:
        return min(self.config.n, real.spec.count // 2)

    def evaluate(self, trainer: Samples, data: RoleData, context: EvaluationContext) -> Evaluation:
        """Scalars `sliced_wasserstein_<n>/<size>` a scale, `.../mean` and `.../real`, the mean's floor."""
        c = self.config
        real = reference_split(data, c.role, c.split, "sliced_wasserstein")
        n = self._count(real)
        index = sample_rows(real, 2 * n, context.seed)
        # Alternate rows: each set is spread over the whole split.
        one, other = (self._described(batches_at(real, rows)) for rows in (index[::2], index[1::2]))
        labels = labels_like(trainer, real, n, context.seed)
        keep_classes(labels, real, context)
        made = self._described(sample_batches(trainer, n, labels, noise(context), c.batch_size))
        name = f"sliced_wasserstein_{format_count(n)}"
        found = self._distances(made, one)
        scalars = {f"{name}/{size}": value for size, value in found.items()}
        scalars[f"{name}/mean"] = _mean(found)
        scalars[f"{name}/real"] = _mean(self._distances(other, one))
        protocol = {
            "evaluator": "sliced_wasserstein",
            "patches": c.patches,
            "directions": c.directions,
            "images": n,
            "real images": f"{real.dataset}, {real.split}",
            "hash of the real images": real.digest[:16],
        }
        better: dict[str, Better] = {key: "min" for key in scalars if key != f"{name}/real"}
        headline = f"{name}/mean", f"{name}/real"
        return Evaluation(scalars, headline=headline, protocol=protocol, better=better)

    def _described(self, batches: Iterable[Tensor]) -> dict[int, Tensor]:
        """Descriptors of all images by the size of the pyramid's level."""
        generator = torch.Generator().manual_seed(0)
        parts: dict[int, list[Tensor]] = {}
        for images in _eight_bit(batches):
            for level in laplacian_pyramid(images):
                found = patches(level, self.config.patches, generator)
                parts.setdefault(level.shape[2], []).append(found)
        return {size: normalized(torch.cat(found)) for size, found in parts.items()}

    def _distances(self, a: dict[int, Tensor], b: dict[int, Tensor]) -> dict[int, float]:
        generator = torch.Generator().manual_seed(0)
        return {
            size: 1000 * sliced_wasserstein(a[size], b[size], self.config.directions, generator) for size in a
        }


def _eight_bit(batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """Both kinds of images rounded alike, as float32 on the CPU."""
    return (to_uint8(images).cpu().float() for images in batches)


def _mean(values: dict[int, float]) -> float:
    return sum(values.values()) / len(values)
