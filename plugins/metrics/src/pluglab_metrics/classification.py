"""Any metrics of classification: of torchmetrics, or of others."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from pluglab.capabilities import Classifies
from pluglab.components import Component, Reference
from pluglab.errors import UserError
from pluglab.evaluating import RoleData, require_finite
from pluglab.protocols import Better, Evaluation, EvaluationContext, EvaluationData
from pluglab_metrics.accuracy import Judged
from pluglab_metrics.running import RunningMetric, running_metrics

REHEARSED = 20  # made-up images of each class that a metric is tried with


class Classification:
    """Metrics of class probabilities against labels, for each role: F1, calibration error, AUROC, ..."""

    class Config(Judged):
        metrics: list[Annotated[Component, Reference("metric")]]
        """Metrics of probabilities N x K and labels N, such as those of torchmetrics.classification."""

    needs: ClassVar[tuple[type, ...]] = (Classifies,)

    def __init__(self, config: Config) -> None:
        self.config = config
        self.metrics = running_metrics(config.metrics, "classification")

    def check(self, trainer: Any, data: RoleData) -> Mapping[str, Collection[str]] | None:
        """Each score is computed from its role's own labels. A metric that does not say what it reports is
        tried; where the classes have no names, nobody knows how many there are."""
        parts = self.config.parts(data, "classification")
        if not all(part.spec.num_classes for part in parts):
            return None
        names = {
            part.role: [name for metric in self.metrics for name in metric.keys or rehearsed(metric, part)]
            for part in parts
        }
        return {self.config.scalar(name, role): (role,) for role, found in names.items() for name in found}

    def evaluate(self, trainer: Classifies, data: RoleData, context: EvaluationContext) -> Evaluation:
        """Scalars `<metric>/<role>`, with the split where it is not the test split."""
        scalars: dict[str, float] = {}
        protocols: dict[str, Mapping[str, Any]] = {}
        better: dict[str, Better] = {}
        for part in self.config.parts(data, "classification"):
            probabilities = self._probabilities(trainer, part)
            for metric in self.metrics:
                metric.to(context.device)
                values = scored(metric, probabilities, part.labels)
                found = {self.config.scalar(key, part.role): value for key, value in values.items()}
                scalars |= found
                protocols |= {key: {"metric": metric.options} for key in found}
                better |= metric.said_of(found)
        protocol = {"evaluator": "classification", "split": self.config.split}
        headline = tuple(scalars)
        return Evaluation(scalars, headline=headline, protocol=protocol, protocols=protocols, better=better)

    def _probabilities(self, trainer: Classifies, part: EvaluationData) -> Tensor:
        found = self.config.logits(trainer, part).softmax(1)
        require_finite(found, "there is nothing to judge", f"predictions of '{part.role}'")
        return found


def scored(metric: RunningMetric, probabilities: Tensor, labels: Tensor) -> dict[str, float]:
    """A metric's scores of probabilities N x K and, if it reads them, labels N."""
    metric.reset()
    metric.update(*((probabilities, labels) if metric.pairs else (probabilities,)))
    return metric.compute()


def rehearsed(metric: RunningMetric, part: EvaluationData) -> list[str]:
    """The names of a metric's scores, found out with made-up probabilities of a role's classes.

    Raises `UserError` where it cannot take them, as with another number of classes.
    """
    classes = part.spec.num_classes
    labels = torch.arange(classes * REHEARSED) % classes
    noise = torch.randn(len(labels), classes, generator=torch.Generator().manual_seed(0))
    try:
        return list(scored(metric, noise.softmax(1), labels))
    except Exception as error:
        message = (
            f"metric '{metric.name}' cannot take probabilities of the {classes} classes of '{part.role}'"
        )
        help = [f"{type(error).__name__}: {error}", f"`lab show metric {metric.name}` lists its options"]
        raise UserError(message, help=help) from error
