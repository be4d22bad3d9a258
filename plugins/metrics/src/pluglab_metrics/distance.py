"""The proxy A-distance of Ben-David et al. 2007, as DANN uses it (Ganin et al. 2016, section 5.1.5)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field

from pluglab.capabilities import Embeds
from pluglab.components import Options
from pluglab.errors import UserError
from pluglab.evaluating import RoleData, embed, require_finite, sample_rows, select_splits
from pluglab.protocols import Evaluation, EvaluationContext

SMALLEST = 20  # images a role: half of them train a classifier, the others measure its error


class ProxyADistance:
    """How well a linear classifier tells two roles apart by their features: 2 (1 - 2 eps).

    eps is the error on held-out features of a linear support vector machine. 0: it does no better than a
    coin, 2: it is always right. The lowest error over `c` counts, so the figure is an upper estimate.
    """

    class Config(Options):
        roles: tuple[str, str] = ("source", "target")
        """The two roles to tell apart."""
        split: str = "test"
        """Split that the features come from."""
        images: int = Field(1000, ge=20)
        """Images a role; one half trains the classifier, the other measures its error."""
        c: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1)
        """Inverse strengths of the regularization that are tried (standardized features)."""

    needs: ClassVar[tuple[type, ...]] = (Embeds,)

    def __init__(self, config: Config) -> None:
        self.config = config

    def check(self, trainer: object, data: RoleData) -> Mapping[str, Collection[str]]:
        """It reads no labels."""
        for part in select_splits(data, self.config.roles, self.config.split):
            if part.spec.count < SMALLEST:
                message = f"'{part.role}' has {part.spec.count} images: too few to tell two roles apart"
                raise UserError(message, help=[f"it takes at least {SMALLEST}"])
        return {"proxy_a_distance": ()}

    def evaluate(self, trainer: Embeds, data: RoleData, context: EvaluationContext) -> Evaluation:
        """Scalar `proxy_a_distance`, in [0, 2]."""
        parts = select_splits(data, self.config.roles, self.config.split)
        count = min(self.config.images, *(part.spec.count for part in parts))
        first, second = (
            embed(trainer, part, sample_rows(part, count, context.seed)).numpy() for part in parts
        )
        value = proxy_a_distance(first, second, self.config.c, context.seed)
        protocol = {
            "evaluator": "proxy_a_distance",
            "roles": list(self.config.roles),
            "split": self.config.split,
            "images": count,
            "c": list(self.config.c),
        }
        name = "proxy_a_distance"
        return Evaluation({name: value}, headline=(name,), protocol=protocol, better={name: "min"})


def proxy_a_distance(
    source: np.ndarray, target: np.ndarray, c: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1), seed: int = 0
) -> float:
    """2 (1 - 2 eps) of two sets of N x F features, with eps at most 1/2 (Ganin et al. 2016, eq. 3).

    Raises `UserError` for features that are not finite.
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    features = np.concatenate([source, target])
    require_finite(features, "no classifier can tell two roles apart")
    domain = np.repeat([0, 1], [len(source), len(target)])
    order = torch.randperm(len(domain), generator=torch.Generator().manual_seed(seed)).numpy()
    train, test = np.array_split(order, 2)
    machines = (
        make_pipeline(StandardScaler(), LinearSVC(C=value, dual="auto", random_state=0)) for value in c
    )
    fitted = (machine.fit(features[train], domain[train]) for machine in machines)
    error = min(1 - machine.score(features[test], domain[test]) for machine in fitted)
    return float(2 * (1 - 2 * min(error, 0.5)))
