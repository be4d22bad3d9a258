"""The two ends of the table: no adaptation, and supervised training on the target itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pluglab.protocols import Batch, ImageSpec, Progress, Role
from pluglab_domain_adaptation.base import ClassifierTrainer, parameters_of, require_labels
from pluglab_domain_adaptation.losses import accuracy
from pluglab_domain_adaptation.options import ClassifierOptions


class Supervised(ClassifierTrainer):
    """A classifier trained with the labels of one role; it predicts for any role alike."""

    Config = ClassifierOptions

    def __init__(self, config: Any, data: Mapping[str, ImageSpec]) -> None:
        self.role = self.roles[0].name
        super().__init__(config, {self.role: data[self.role]})
        self.optimizer = config.optimizer.build(parameters_of(self.features, self.classifier))

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        images, labels = require_labels(batch[self.role])
        logits = self.predict(images, self.role)
        loss = self.class_loss(logits, labels)
        self.optimizer_step(loss, progress)
        return {"loss/class": loss.detach(), "training/accuracy": accuracy(logits, labels)}


class SourceOnly(Supervised):
    """Trained on the labeled source, used on the target: what adaptation must beat."""

    roles = (Role("source", labels="required"),)


class TargetOnly(Supervised):
    """Trained on the labeled target: the upper bound. Not a method, since it reads the target's labels."""

    roles = (Role("target", labels="required"),)
