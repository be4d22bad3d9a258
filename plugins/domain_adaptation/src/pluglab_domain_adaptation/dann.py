"""DANN: domain-adversarial training of neural networks (Ganin et al. 2016, arXiv:1505.07818)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from pluglab.components import Component, Reference, named
from pluglab.protocols import Batch, ImageSpec, Progress, Role
from pluglab_domain_adaptation.base import ClassifierTrainer, parameters_of, require_labels
from pluglab_domain_adaptation.losses import accuracy, domain_accuracy, domain_labels, domain_loss
from pluglab_domain_adaptation.networks import reverse
from pluglab_domain_adaptation.options import AdaptiveOptions


class DANN(ClassifierTrainer):
    """Features that classify the source and from which a discriminator cannot tell the domain.

    One loss for all networks: class + w x domain, where the domain loss reaches the features through
    gradient reversal, scaled by the adaptation factor lambda(p) (eq. 9, 14 and 18).
    """

    class Config(AdaptiveOptions):
        domain_weight: float = Field(0.3, ge=0)
        """Weight w of the domain loss, which is the mean over the images of both domains. Eq. 9 of the paper
        sums the two domains' means, which is w = 2."""
        adaptation: Annotated[Component, Reference("schedule")] = named("sigmoid_ramp")
        """The adaptation factor lambda over training progress (eq. 14)."""

    roles = (Role("source", labels="required"), Role("target", labels="hidden"))

    def __init__(self, config: Config, data: Mapping[str, ImageSpec]) -> None:
        super().__init__(config, data)
        self.adaptation = config.adaptation.build()
        self.discriminator = self.encoder.discriminator()
        networks = self.features, self.classifier, self.discriminator
        self.optimizer = config.optimizer.build(parameters_of(*networks))

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        (source, labels), target = require_labels(batch["source"]), batch["target"].images
        features = self.features(torch.cat([source, target]), "both")
        logits, target_logits = self.classifier(features, "both").chunk(2)
        domains = self.discriminator(reverse(features, progress.at(self.adaptation)))
        is_target = domain_labels(len(features), features.device)
        class_loss, adversarial, logs = self.losses(logits, labels, target_logits, domains)
        target_loss, target_logs = self.target_loss(target, target_logits, progress)
        self.optimizer_step(class_loss + self.config.domain_weight * adversarial + target_loss, progress)
        return {
            "loss/class": class_loss.detach(),
            "loss/domain": adversarial.detach(),
            "training/accuracy": accuracy(logits, labels),
            "training/domain_accuracy": domain_accuracy(domains, is_target),
            **logs,
            **target_logs,
        }

    def losses(
        self, logits: Tensor, labels: Tensor, target_logits: Tensor, domains: Tensor
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The loss of the classes, that of the domains, and what else is logged."""
        is_target = domain_labels(len(domains), domains.device)
        return self.class_loss(logits, labels), domain_loss(domains, is_target), {}
