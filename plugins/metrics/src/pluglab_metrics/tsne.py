"""t-SNE of a trainer's features (van der Maaten and Hinton 2008): one picture by class, one by domain."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from pluglab.capabilities import Embeds
from pluglab.components import Options
from pluglab.evaluating import RoleData, embed, require_finite, sample_rows, select_splits
from pluglab.protocols import Evaluation, EvaluationContext, EvaluationData, Figure
from pluglab_metrics.figures import bare, label, new_figure, places, render, style

GRAY = "#b0b0b0"
UNLABELED = -1
SMALLEST = 5  # points
FEW = 3  # series, whose legend is below


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
        """Figures `by_class` (where any role has labels) and `by_domain` (of several roles)."""
        cloud = self._cloud(trainer, select_splits(data, self.config.roles, self.config.split), context.seed)
        title = (
            f"t-SNE of {len(cloud.plane):,} {self.config.split} features, step {context.step:,}{cloud.note}"
        )
        series = {}
        if (cloud.labels != UNLABELED).any():
            series["by_class"] = cloud.by_class()
        if len(cloud.roles) > 1:
            series["by_domain"] = cloud.by_domain()
        words = {"by_class": ", by class", "by_domain": ", by domain", "all": ""}
        figures = {
            name: Figure(_draw(cloud.plane, found, title + words[name]), title + words[name], cloud.data())
            for name, found in (series or {"all": cloud.by_domain()}).items()
        }
        return Evaluation(figures=figures)

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
        return Cloud(plane, np.concatenate(labels), domains, roles, names, note)


@dataclass(frozen=True)
class Cloud:
    """`plane`: N x 2. `labels` (-1 where unknown) and `domains` (indices into `roles`): N.

    `roles` are the roles and their data sets. `note` says why there is nothing to see, where that is so.
    """

    plane: np.ndarray
    labels: np.ndarray
    domains: np.ndarray
    roles: dict[str, str]
    classes: tuple[str, ...]
    note: str = ""

    def data(self) -> dict[str, Any]:
        """Each point's place, role and class (None where it is unknown), and each role's data set."""
        classes = [None if label == UNLABELED else self._name(int(label)) for label in self.labels]
        names = list(self.roles)
        points = {"x": self.plane[:, 0], "y": self.plane[:, 1], "role": [names[i] for i in self.domains]}
        return {**points, "class": classes, "datasets": self.roles}

    def _name(self, label: int) -> str:
        return self.classes[label] if label < len(self.classes) else str(label)

    def by_class(self) -> list[Series]:
        """Unlabeled points first, so that they lie below the others."""
        known = [int(value) for value in np.unique(self.labels) if value != UNLABELED]
        names = {i: self._name(i) for i in known}
        series = [Series(name, self.labels == i, style(i, name)) for i, name in names.items()]
        hidden = self.labels == UNLABELED
        gray = Series("no label", hidden, {"color": GRAY, "marker": "."})
        return [gray, *series] if hidden.any() else series

    def by_domain(self) -> list[Series]:
        found = enumerate(zip(self.roles.items(), places(list(self.roles)), strict=True))
        return [
            Series(f"{role}: {dataset}", self.domains == i, {**style(place), "alpha": 0.65})
            for i, ((role, dataset), place) in found
        ]


@dataclass(frozen=True)
class Series:
    """Points that share a name in the legend. `mask`: bool N."""

    name: str
    mask: np.ndarray
    look: dict[str, Any]


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
    if min(features.shape) > 50:
        features = PCA(50, random_state=seed % 2**32).fit_transform(features)
    features = np.pad(features, [(0, 0), (0, max(0, 2 - features.shape[1]))])
    perplexity = min(perplexity, (len(features) - 1) / 3)
    tsne = TSNE(init="pca", perplexity=perplexity, random_state=seed % 2**32)
    return np.asarray(tsne.fit_transform(features))


def nothing_to_embed(features: np.ndarray) -> str:
    """Why N x F features have no map, in words; empty where they have one."""
    if len(features) < SMALLEST:
        return "too few for a map"
    return "all alike" if np.ptp(features, axis=0).max() == 0 else ""


def _labels(data: EvaluationData, index: torch.Tensor) -> np.ndarray:
    return data.labels[index].numpy() if data.labeled else np.full(len(index), UNLABELED)


def _draw(plane: np.ndarray, series: list[Series], title: str) -> np.ndarray:
    figure = new_figure(8.2, 7)
    axes = figure.subplots()
    for item in series:
        x, y = plane[item.mask].T
        axes.scatter(x, y, s=34, linewidths=0.4, label=label(item.name), **item.look)
    axes.set_aspect("equal", adjustable="datalim")
    bare(axes)
    axes.set_title(title, fontsize=11)
    few = len(series) <= FEW  # names of data sets are long
    place = {"loc": "outside lower center", "ncols": FEW} if few else {"loc": "outside right center"}
    figure.legend(**place, frameon=False, markerscale=1.6)
    return render(figure)
