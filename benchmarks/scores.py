"""Which scores see what makes images worse, on several data sets: the table of docs/evaluation.md.

    python benchmarks/scores.py digits mnist_m sprites --data-root DIR

For each data set, `n` real images against as many others, which are blurred, noised, compressed or repeated,
or of which modes (classes; clusters where there are no labels) are left out, each in four severities, from
two draws. A cell holds Spearman's rank correlation of severity and score, mean over the draws, and how many
of the four severities score worse than the worst draw of unharmed images.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import pluglab
from pluglab import Images, UserError
from pluglab_metrics.corruptions import clusters, follows, scored
from pluglab_metrics.extractors.base import extract
from pluglab_metrics.scores.frechet import RunningGaussian, frechet_distance
from pluglab_metrics.scores.kernel import squared_mmd
from pluglab_metrics.scores.neighbors import neighbor_scores
from pluglab_metrics.sliced import laplacian_pyramid, normalized, patches, sliced_wasserstein

SETS: dict[str, dict[str, Any]] = {
    "digits": {"name": "digits", "size": 16},
    "mnist_m": {"name": "mnist_m"},
    "sprites": {"name": "image_folder", "path": "sprites64.tar", "size": 64, "test_share": 0.0},
    "animals": {"name": "animals"},
}
SEEDS = (0, 1)
PATCHES, DIRECTIONS = 64, 256  # of sliced Wasserstein: half of its defaults
Features = Callable[[Tensor], Tensor]
Scores = Mapping[str, Sequence[Sequence[float]]]


def sliced(reference: Tensor) -> Callable[[Tensor], float]:
    """Sliced Wasserstein distance times 1,000, mean over the scales."""
    wanted = _described(reference)

    def score(images: Tensor) -> float:
        generator = torch.Generator().manual_seed(0)
        pairs = zip(_described(images), wanted, strict=True)
        found = [1000 * sliced_wasserstein(a, b, DIRECTIONS, generator) for a, b in pairs]
        return sum(found) / len(found)

    return score


def _described(images: Tensor) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    levels = laplacian_pyramid(images.float())
    return [normalized(patches(level, PATCHES, generator)) for level in levels]


class OfFeatures:
    """FID, KID and coverage of features, which are extracted once for all of them."""

    def __init__(self, features: Features, reference: Tensor) -> None:
        self.features, self.real = features, features(reference)
        self.known: dict[int, tuple[Tensor, Tensor]] = {}

    def of(self, images: Tensor) -> Tensor:
        kept = self.known.get(id(images))
        if kept is None:
            kept = self.known[id(images)] = images, self.features(images)  # the images, so that the id stays
        return kept[1]

    def fid(self, images: Tensor) -> float:
        pair = []
        for rows in (self.real, self.of(images)):
            gaussian = RunningGaussian()
            gaussian.update(rows)
            pair.append(gaussian.compute())
        return frechet_distance(*pair)

    def kid(self, images: Tensor) -> float:
        return squared_mmd(self.real, self.of(images))

    def missing(self, images: Tensor) -> float:
        return 1 - neighbor_scores(self.real, self.of(images))["coverage"]


def table_of(name: str, arguments: argparse.Namespace) -> dict[str, Scores]:
    """The scores of one data set by what took them."""
    context = pluglab.data_context(arguments.data_root)
    name_of_set, *_ = SETS[name].values()
    options = {key: value for key, value in SETS[name].items() if key != "name"}
    dataset: Any = pluglab.component("dataset", name_of_set, **options).build()
    dataset.prepare(context)
    extractor: Any = pluglab.component("feature_extractor", "self_supervised", dataset=SETS[name]).build()
    began = time.process_time()
    extractor.prepare(context)
    print(f"{name}: the network took {time.process_time() - began:.0f} CPU seconds\n", flush=True)
    for key, value in extractor.notes.items():
        print(f"    {key}: {value}")
    images = _held_out(dataset)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(1))[: 4 * arguments.n]
    reference, rows = images.pixels[order[: arguments.n]], order[arguments.n :]
    pool = images.pixels[rows]
    modes = clusters(pool) if images.labels is None else images.labels[rows]
    seen = OfFeatures(lambda part: extract(extractor, part.split(200)).features, reference)
    kinds: dict[str, Callable[[Tensor], float]] = {
        "sliced Wasserstein": sliced(reference),
        "FID": seen.fid,
        "KID": seen.kid,
        "1 - coverage": seen.missing,
    }
    # One pass over the same images for all, so that features are extracted once.
    together: dict[str, dict[str, list[list[float]]]] = {kind: {} for kind in kinds}

    def every(images: Tensor) -> float:
        values.append([score(images) for score in kinds.values()])
        return float(len(values) - 1)

    values: list[list[float]] = []
    for corruption, rows_of in scored(every, pool, modes, arguments.n, SEEDS).items():
        for place, kind in enumerate(kinds):
            together[kind][corruption] = [[values[int(i)][place] for i in row] for row in rows_of]
    return dict(together)


def _held_out(dataset: Any) -> Images:
    """Test images that the network has not seen, where there are enough of them; else training images."""
    try:
        found: Images = dataset.split("test")
    except UserError:
        found = dataset.split("train")
    if len(found) < 1000:
        found = dataset.split("train")
    return found


def told_apart(rows: Sequence[Sequence[float]]) -> int:
    """Severities whose best draw scores worse than the worst of unharmed images."""
    worst = max(row[0] for row in rows)
    return sum(min(row[i] for row in rows) > worst for i in range(1, len(rows[0])))


def cells(scores: Scores) -> list[str]:
    found = follows(scores)
    return [f"{found[name]:.2f} ({told_apart(rows)})" for name, rows in scores.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="+", choices=SETS)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("-n", type=int, default=300, help="images on each side")
    arguments = parser.parse_args()
    for name in arguments.sets:
        found = table_of(name, arguments)
        columns = list(next(iter(found.values())))
        print(f"\n| {name} | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")
        for kind, scores in found.items():
            print(f"| {kind} | {' | '.join(cells(scores))} |", flush=True)


if __name__ == "__main__":
    main()
