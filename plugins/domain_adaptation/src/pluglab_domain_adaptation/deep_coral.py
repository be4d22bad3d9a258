"""Deep CORAL: correlation alignment (Sun and Saenko 2016, arXiv:1607.01719)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from pluglab.protocols import Batch, ImageSpec, Progress, Role
from pluglab_domain_adaptation.base import ClassifierTrainer, parameters_of, require_labels
from pluglab_domain_adaptation.losses import accuracy, coral_loss
from pluglab_domain_adaptation.options import AdaptiveOptions


class DeepCORAL(ClassifierTrainer):
    """Features with which a classifier of the source gives values of equal covariance in both domains.

    One loss: class + w CORAL (eq. 6). There is no second network.
    """

    class Config(AdaptiveOptions):
        coral_weight: float = Field(10.0, ge=0)
        """Weight w of the CORAL loss. The paper's is such that in the end w times it is about as large as
        the class loss."""
        layer: Literal["logits", "features"] = "logits"
        """What is to have equal covariances: the output of the last layer, as in the paper, or features."""

    roles = (Role("source", labels="required"), Role("target", labels="hidden"))
    by_share = "the covariances are those of a share"

    def __init__(self, config: Config, data: Mapping[str, ImageSpec]) -> None:
        super().__init__(config, data)
        self.optimizer = config.optimizer.build(parameters_of(self.features, self.classifier))

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        (source, labels), target = require_labels(batch["source"]), batch["target"].images
        features = self.features(torch.cat([source, target]), "both")
        both = self.classifier(features, "both")
        logits, target_logits = both.chunk(2)
        aligned = both if self.config.layer == "logits" else features

        class_loss, coral = self.class_loss(logits, labels), coral_loss(*aligned.chunk(2))
        target_loss, target_logs = self.target_loss(target, target_logits, progress)
        self.optimizer_step(class_loss + self.config.coral_weight * coral + target_loss, progress)
        return {
            "loss/class": class_loss.detach(),
            "loss/coral": coral.detach(),
            "training/accuracy": accuracy(logits, labels),
            **target_logs,
        }
