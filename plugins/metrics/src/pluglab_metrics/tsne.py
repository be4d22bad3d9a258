"""t-SNE of a trainer's features (van der Maaten and Hinton 2008): one picture by class, one by domain."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field

from pluglab.capabilities import Embeds
from pluglab.components import Options
from pluglab.evaluating import RoleData, embed, images_at, require_finite, sample_rows, select_splits
from pluglab.figures import in_color
from pluglab.protocols import Evaluation, EvaluationContext, EvaluationData
from pluglab_metrics.exact_tsne import exact_tsne, widest
from pluglab_plots import picture
from pluglab_plots.sprites import sheet

UNLABELED = -1
SMALLEST = 5  # points
# Of scikit-learn's 1,000 the second half takes half of the time. It lowers the divergence by 2 to 3 %, and
# neighbors in the plane are no more often those in the features, nor of one class.
ITERATIONS = 500
EXACT = 3000  # points; of more, scikit-learn's trees are faster than all pairs, and take less memory


class LatentTSNE:
    """Features of test images of every role in one plane.

    With one role only the picture by class is drawn; images without labels are gray in it. The images are a
    fixed random choice over the whole split. Features of more than 50 dimensions are reduced to 50 by PCA
    first, as in the paper's experiments.
    """

    class Config(Options):
        points: int = Field(1000, ge=10)
        """Images in all, shared evenly by the roles."""
        perplexity: float = Field(30.0, gt=1)
        """Effective number of neighbors; lowered where there are too few points for it."""
        roles: tuple[str, ...] | None = None
        """Roles to show; all by default."""
        split: str = "test"
        """Split to show."""

    needs: ClassVar[tuple[type, ...]] = (Embeds,)

    def __init__(self, config: Config) -> None:
        self.config = config

    def check(self, trainer: Any, data: RoleData) -> Mapping[str, Collection[str]]:
        """Pictures only."""
        select_splits(data, self.config.roles, self.config.split)
        return {}

    def evaluate(self, trainer: Embeds, data: RoleData, context: EvaluationContext) -> Evaluation:
        """Figures `by_class` (where any role has labels) and `by_domain` (of several roles); `pictures`, the
        images themselves in place of points, where there is neither."""
        parts = select_splits(data, self.config.roles, self.config.split)
        cloud = self._cloud(trainer, parts, context.seed)
        title = (
            f"t-SNE of {len(cloud.plane):,} {self.config.split} features, step {context.step:,}{cloud.note}"
        )
        found: dict[str, dict[str, Any]] = {}
        if (cloud.labels != UNLABELED).any():
            found["by_class"] = cloud.by_class(f"{title}, by class")
        if len(cloud.roles) > 1:
            found["by_domain"] = cloud.by_domain(f"{title}, by domain")
        if not found:
            found["pictures"] = cloud.points(title)
        first = next(iter(found))
        found[first] |= cloud.contents()
        return Evaluation(figures={name: picture(one, one["title"]) for name, one in found.items()})

    def _cloud(self, trainer: Embeds, parts: list[EvaluationData], seed: int) -> Cloud:
        share = max(1, self.config.points // len(parts))
        indices = [sample_rows(part, share, seed) for part in parts]
        features = [embed(trainer, part, index) for part, index in zip(parts, indices, strict=True)]
        labels = [_labels(part, index) for part, index in zip(parts, indices, strict=True)]
        domains = np.repeat(np.arange(len(parts)), [len(index) for index in indices])
        rows = torch.cat(features).numpy()
        plane = to_plane(rows, self.config.perplexity, seed)
        names = max((part.spec.classes or () for part in parts), key=len)
        roles = {part.role: part.dataset for part in parts}
        note = f": {why}" if (why := nothing_to_embed(rows)) else ""
        images = [_thumbnails(part, index) for part, index in zip(parts, indices, strict=True)]
        short = condensed(rows, seed)
        return Cloud(plane, np.concatenate(labels), domains, roles, names, images, short, note)


@dataclass(frozen=True)
class Cloud:
    """`plane`: N x 2. `labels` (-1 where unknown) and `domains` (indices into `roles`): N.

    `roles` are the roles and their data sets, `images` uint8 N x H x W x 3 of each role, `features` N x 50 at
    most. `note` says why there is nothing to see, where that is so.
    """

    plane: np.ndarray
    labels: np.ndarray
    domains: np.ndarray
    roles: dict[str, str]
    classes: tuple[str, ...]
    images: Sequence[np.ndarray]
    features: np.ndarray
    note: str = ""

    def by_class(self, title: str) -> dict[str, Any]:
        """The plot whose series are all the classes, so that each looks the same at every look."""
        last = int(self.labels.max(initial=UNLABELED))
        names = self.classes or tuple(self._name(i) for i in range(last + 1))
        return {**self.points(title), "by": "class", "series": names}

    def by_domain(self, title: str) -> dict[str, Any]:
        """The plot whose series are the roles."""
        words = {role: f"{role}: {dataset}" for role, dataset in self.roles.items()}
        return {**self.points(title), "by": "role", "series": list(self.roles), "words": words}

    def contents(self) -> dict[str, Any]:
        """What the points are of, for whoever wants another map of them: features and pictures."""
        pictures = {}
        if len({images.shape[1:] for images in self.images}) == 1:
            pictures["thumbnails"] = sheet(np.concatenate(self.images), range(len(self.plane)))
        return {"features": self.features, **pictures}

    def points(self, title: str) -> dict[str, Any]:
        """Each point's place, role and class (None where it is unknown), and each role's data set."""
        classes = [None if label == UNLABELED else self._name(int(label)) for label in self.labels]
        names = list(self.roles)
        return {
            "plot": "points",
            "title": title,
            "x": self.plane[:, 0],
            "y": self.plane[:, 1],
            "role": [names[i] for i in self.domains],
            "class": classes,
            "datasets": self.roles,
        }

    def _name(self, label: int) -> str:
        return self.classes[label] if label < len(self.classes) else str(label)


def to_plane(features: np.ndarray, perplexity: float, seed: int) -> np.ndarray:
    """N x F features as N x 2, fixed by the seed. Raises `UserError` for features that are not finite.

    Features that are all alike lie in one point, and of too few nothing but the features is shown.
    """
    require_finite(features, "t-SNE has nothing to show")
    features = features.astype(np.float64)
    features = features - features.mean(0)
    # Neighbors do not depend on the scale, and scikit-learn does not survive one that float32 does not hold:
    # its start divides by the deviation, and a NaN there ends the process.
    features = (features / (np.abs(features).max(initial=0) or 1)).astype(np.float32)
    if nothing_to_embed(features):
        return np.pad(features, [(0, 0), (0, 2)])[:, :2]
    features = _of_50(features, seed)
    features = np.pad(features, [(0, 0), (0, max(0, 2 - features.shape[1]))])
    perplexity = min(perplexity, (len(features) - 1) / 3)
    if len(features) <= EXACT:
        return exact_tsne(torch.from_numpy(features), perplexity, ITERATIONS).numpy()
    from sklearn.manifold import TSNE  # here, so that a run does not begin with it

    tsne = TSNE(init="pca", perplexity=perplexity, max_iter=ITERATIONS, random_state=seed % 2**32)
    return np.asarray(tsne.fit_transform(features))


def _of_50(features: np.ndarray, seed: int) -> np.ndarray:
    """N x F features, reduced by PCA where they have more than 50 dimensions."""
    if min(features.shape) <= 50:
        return features
    if len(features) <= EXACT:
        return widest(torch.from_numpy(features), 50).numpy()
    from sklearn.decomposition import PCA

    return np.asarray(PCA(50, random_state=seed % 2**32).fit_transform(features))


def condensed(features: np.ndarray, seed: int) -> np.ndarray:
    """N x F features as N x 50 at most by PCA, with four digits of the largest."""
    features = _of_50(features, seed)
    features = features.astype(np.float64)
    largest = float(np.abs(features).max(initial=0))
    return np.round(features, 3 - math.floor(math.log10(largest))) if largest else features


def nothing_to_embed(features: np.ndarray) -> str:
    """Why N x F features have no map, in words; empty where they have one."""
    if len(features) < SMALLEST:
        return "too few for a map"
    return "all alike" if np.ptp(features, axis=0).max() == 0 else ""


def _labels(data: EvaluationData, index: torch.Tensor) -> np.ndarray:
    return data.labels[index].numpy() if data.labeled else np.full(len(index), UNLABELED)


def _thumbnails(data: EvaluationData, index: torch.Tensor) -> np.ndarray:
    """uint8 N x H x W x 3."""
    return in_color(images_at(data, index)).permute(0, 2, 3, 1).numpy()
