"""PADA: partial adversarial domain adaptation (Cao et al. 2018, arXiv:1808.04205)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from pluglab.protocols import ImageSpec
from pluglab_domain_adaptation.dann import DANN
from pluglab_domain_adaptation.losses import at_least_float32, domain_labels, domain_loss


class PADA(DANN):
    """DANN for a target that has only some of the source's classes. Source images of a class count as much
    as the class is predicted for target images, so that those of the others draw none to themselves.

    One loss: class + w x domain, both weighted by gamma of each source image's class (eq. 4 and 5).
    """

    class Config(DANN.Config):
        memory: float = Field(0.9, ge=0, lt=1)
        """Share of the mean prediction for the target that a batch leaves in place. The paper goes through
        the whole target from time to time instead."""

    by_share = "the weights of classes are those that a share predicts"
    config: Config

    def __init__(self, config: Config, data: Mapping[str, ImageSpec]) -> None:
        super().__init__(config, data)
        self.predicted = torch.full((self.spec.num_classes,), 1 / self.spec.num_classes)

    def losses(
        self, logits: Tensor, labels: Tensor, target_logits: Tensor, domains: Tensor
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        weights = self.class_weights(target_logits.detach())
        of_images = weights[labels]
        is_target = domain_labels(len(domains), domains.device)
        adversarial = domain_loss(domains, is_target, torch.cat([of_images, torch.ones_like(of_images)]))
        logs = {"training/class_weight": weights.mean()}
        return self.class_loss(logits, labels, of_images), adversarial, logs

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
