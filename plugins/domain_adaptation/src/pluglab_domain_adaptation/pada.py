"""PADA: partial adversarial domain adaptation (Cao et al. 2018, arXiv:1808.04205)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from pluglab.components import Component, Reference, named
from pluglab.protocols import Batch, ImageSpec, Progress, Role
from pluglab_domain_adaptation.base import ClassifierTrainer, parameters_of, require_labels
from pluglab_domain_adaptation.losses import (
    accuracy,
    at_least_float32,
    domain_accuracy,
    domain_labels,
    domain_loss,
)
from pluglab_domain_adaptation.networks import reverse
from pluglab_domain_adaptation.options import AdaptiveOptions


class PADA(ClassifierTrainer):
    """DANN for a target that has only some of the source's classes. Source images of a class count as much
    as the class is predicted for target images, so that those of the others draw none to themselves.

    One loss: class + w x domain, both weighted by gamma of each source image's class (eq. 4 and 5).
    """

    class Config(AdaptiveOptions):
        domain_weight: float = Field(0.3, ge=0)
        """Weight w of the domain loss, which is the mean over the images of both domains. The paper sums the
        two domains' means, which is w = 2."""
        adaptation: Annotated[Component, Reference("schedule")] = named("sigmoid_ramp")
        """The factor of the reversed gradient over training progress."""
        memory: float = Field(0.9, ge=0, lt=1)
        """Share of the mean prediction for the target that a batch leaves in place. The paper goes through
        the whole target from time to time instead."""

    roles = (Role("source", labels="required"), Role("target", labels="hidden"))

    def __init__(self, config: Config, data: Mapping[str, ImageSpec]) -> None:
        super().__init__(config, data)
        self.adaptation = config.adaptation.build()
        self.discriminator = self.encoder.discriminator()
        networks = self.features, self.classifier, self.discriminator
        self.optimizer = config.optimizer.build(parameters_of(*networks))
        self.predicted = torch.full((self.spec.num_classes,), 1 / self.spec.num_classes)

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        (source, labels), target = require_labels(batch["source"]), batch["target"].images
        features = self.features(torch.cat([source, target]), "both")
        logits, target_logits = self.classifier(features, "both").chunk(2)
        domains = self.discriminator(reverse(features, progress.at(self.adaptation)))
        is_target = domain_labels(len(features), features.device)

        weights = self.class_weights(target_logits.detach())
        of_images = weights[labels]
        class_loss = self.class_loss(logits, labels, of_images)
        adversarial = domain_loss(domains, is_target, torch.cat([of_images, torch.ones_like(of_images)]))
        target_loss, target_logs = self.target_loss(target, target_logits, progress)
        self.optimizer_step(class_loss + self.config.domain_weight * adversarial + target_loss, progress)
        return {
            "loss/class": class_loss.detach(),
            "loss/domain": adversarial.detach(),
            "training/accuracy": accuracy(logits, labels),
            "training/domain_accuracy": domain_accuracy(domains, is_target),
            "training/class_weight": weights.mean(),
            **target_logs,
        }

    def class_weights(self, target_logits: Tensor) -> Tensor:
        """gamma of each class, K: the mean prediction for target images over its largest (eq. 3), after the
        batch with these logits has been seen."""
        now, kept = at_least_float32(target_logits).softmax(1).mean(0), self.config.memory
        self.predicted = kept * self.predicted.to(now) + (1 - kept) * now
        return self.predicted / self.predicted.max()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "target": {"predicted": self.predicted}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.predicted = state["target"]["predicted"]
