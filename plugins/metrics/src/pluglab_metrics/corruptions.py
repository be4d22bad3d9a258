"""Images made worse by known degrees, and whether a score follows: what it must see to be worth something.

Severities begin with 0, which leaves images as they are. All of it draws from a generator that is given.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

Score = Callable[[Tensor], float]
"""Of uint8 N x C x H x W images, against a reference that it knows."""

BLUR = (0.0, 0.4, 0.6, 0.9, 1.3)  # deviation of a Gaussian, in pixels
NOISE = (0, 3, 6, 12, 24)  # deviation of a Gaussian, of 255
JPEG = (100, 90, 75, 50, 25)  # quality; 100 stands for none
COPIES = (1, 2, 4, 8, 16)  # how often each image appears
KEPT = (1.0, 0.9, 0.8, 0.6, 0.4)  # share of the modes that remain
MODES = 10  # clusters, where there are no labels


def blurred(images: Tensor, sigma: float) -> Tensor:
    return gaussian_blur(images, [9, 9], [sigma, sigma]) if sigma else images


def noisy(images: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    noise = torch.randn(images.shape, generator=generator) * deviation
    return (images + noise).round().clamp(0, 255).to(torch.uint8)


def compressed(images: Tensor, quality: int) -> Tensor:
    """Through a JPEG file, without loss of color resolution."""
    return images if quality == 100 else torch.stack([_through_jpeg(image, quality) for image in images])


def _through_jpeg(image: Tensor, quality: int) -> Tensor:
    pixels = image[0].numpy() if len(image) == 1 else image.permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "jpeg", quality=quality, subsampling=0)
    found = torch.from_numpy(np.array(Image.open(file)))
    return found[None] if found.ndim == 2 else found.permute(2, 0, 1)


def clusters(images: Tensor, count: int = MODES, seed: int = 0) -> Tensor:
    """Modes of images without labels, int64 N: k-means of their 8 x 8 pixels."""
    from sklearn.cluster import KMeans

    small = F.adaptive_avg_pool2d(images.float(), 8).flatten(1).numpy()
    return torch.from_numpy(KMeans(count, n_init=1, random_state=seed).fit_predict(small)).long()


def corrupted(
    pool: Tensor, modes: Tensor, count: int, generator: torch.Generator
) -> dict[str, list[tuple[float, Tensor]]]:
    """`count` images of the pool at each severity of each corruption, with what the severity is.

    `modes`: int64, the class or cluster of each image of the pool. 'dropped modes' leaves some out, in random
    order; as many images remain, all of them different while there are enough.
    """
    order = torch.randperm(len(pool), generator=generator)
    images = pool[order[:count]]
    ranked = _shuffled(modes.unique(), generator)
    dropped = [_without(pool, modes, ranked, share, order, count) for share in KEPT]
    return {
        "blur": [(sigma, blurred(images, sigma)) for sigma in BLUR],
        "noise": [(deviation, noisy(images, deviation, generator)) for deviation in NOISE],
        "JPEG": [(quality, compressed(images, quality)) for quality in JPEG],
        "duplicates": [(times, images[torch.arange(count) // times]) for times in COPIES],
        "dropped modes": list(zip(KEPT, dropped, strict=True)),
    }


def _shuffled(values: Tensor, generator: torch.Generator) -> Tensor:
    return values[torch.randperm(len(values), generator=generator)]


def _without(pool: Tensor, modes: Tensor, ranked: Tensor, share: float, order: Tensor, count: int) -> Tensor:
    kept = torch.isin(modes[order], ranked[: max(1, round(share * len(ranked)))])
    return pool[order[kept][torch.arange(count) % int(kept.sum())]]


def scored(
    score: Score, pool: Tensor, modes: Tensor, count: int, seeds: Sequence[int]
) -> dict[str, list[list[float]]]:
    """Scores of each corruption: a row a seed, a column a severity from the least on. Each seed chooses other
    images of the pool."""
    found: dict[str, list[list[float]]] = {}
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        made = corrupted(pool, modes, count, generator)
        same = score(made["blur"][0][1])  # the first severity is none, whatever the corruption
        for name, levels in made.items():
            found.setdefault(name, []).append([same, *(score(images) for _, images in levels[1:])])
    return found


def follows(scores: Mapping[str, Sequence[Sequence[float]]]) -> dict[str, float]:
    """Spearman's rank correlation of severity and score by corruption, mean over the rows: 1 where what is
    worse always has a higher score."""
    from scipy.stats import spearmanr

    def correlation(row: Sequence[float]) -> float:
        if max(row) == min(row):
            return 0.0  # a score that sees nothing
        return float(spearmanr(range(len(row)), row).statistic)

    return {name: sum(map(correlation, rows)) / len(rows) for name, rows in scores.items()}
