"""MCD: maximum classifier discrepancy (Saito et al. 2018, arXiv:1712.02560)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor

from pluglab.protocols import Batch, ImageSpec, Progress, Role
from pluglab.training import scale_lr
from pluglab_domain_adaptation.base import ClassifierTrainer, parameters_of, require_labels
from pluglab_domain_adaptation.losses import accuracy, classifier_discrepancy
from pluglab_domain_adaptation.networks import has_batch_norm
from pluglab_domain_adaptation.options import AdaptiveOptions


class MCD(ClassifierTrainer):
    """Two classifiers find target images that the source does not decide, and features take these away.

    Three steps a batch (section 3.3): A, features and classifiers learn the source; B, the classifiers,
    still right on the source, disagree on the target as much as they can; C, features make them agree.
    """

    class Config(AdaptiveOptions):
        discrepancy_weight: float = Field(1.0, ge=0)
        """Weight of the discrepancy in the steps B and C; the paper's is 1."""
        feature_steps: int = Field(4, ge=1)
        """Steps C a batch: n in the paper, where 4 is best on digits. They are most of the time."""

    roles = (Role("source", labels="required"), Role("target", labels="hidden"))

    def __init__(self, config: Config, data: Mapping[str, ImageSpec]) -> None:
        super().__init__(config, data)
        self.second_classifier = self.domain_network(self.encoder.classifier(self.spec.num_classes))
        self.joint_norms = config.batch_norm == "joint" and has_batch_norm(self.features, self.classifier)
        self.optimizer = config.optimizer.build(parameters_of(self.features))
        both = parameters_of(self.classifier, self.second_classifier)
        self.classifier_optimizer = config.optimizer.build(both)

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        source, labels = require_labels(batch["source"])
        target = batch["target"].images
        for optimizer in (self.optimizer, self.classifier_optimizer):
            scale_lr(optimizer, progress.at(self.schedule))
        logs = self.learn(source, labels, target, progress)
        apart = self.disagree(source, labels, target)
        for _ in range(self.config.feature_steps):
            together = self.agree(source, target)
        return {**logs, "loss/disagreement": apart, "loss/discrepancy": together}

    def learn(
        self, source: Tensor, labels: Tensor, target: Tensor, progress: Progress
    ) -> Mapping[str, Tensor]:
        """Step A: features and classifiers, supervised (eq. 3); and the `target_losses`."""
        features = self.features(torch.cat([source, target]), "both")
        loss, logs = self._supervised(features, labels, target, progress)
        self.update(self.optimizer, loss)
        # The same loss again, for the classifiers: what follows the features costs little.
        loss, _ = self._supervised(features.detach(), labels, target, progress)
        self.update(self.classifier_optimizer, loss)
        return logs

    def disagree(self, source: Tensor, labels: Tensor, target: Tensor) -> Tensor:
        """Step B: classifiers alone, class loss less discrepancy (eq. 4 and 5). Returns the discrepancy."""
        with torch.no_grad():
            features = self.features(torch.cat([source, target]), "both")
        first, second = self._both(features, "both")
        apart = classifier_discrepancy(first.chunk(2)[1], second.chunk(2)[1])
        class_loss = self._class_losses(first.chunk(2)[0], second.chunk(2)[0], labels)
        self.update(self.classifier_optimizer, class_loss - self.config.discrepancy_weight * apart)
        return apart.detach()

    def agree(self, source: Tensor, target: Tensor) -> Tensor:
        """Step C: features alone, discrepancy (eq. 6). Returns it.

        The source takes part only where a batch norm takes its statistics of both domains.
        """
        if self.joint_norms:
            images = torch.cat([source, target])
            pair = self._both(self.features(images, "both"), "both")
            together = classifier_discrepancy(*(logits.chunk(2)[1] for logits in pair))
        else:
            together = classifier_discrepancy(*self._both(self.features(target, "target"), "target"))
        self.update(self.optimizer, self.config.discrepancy_weight * together)
        return together.detach()

    def _supervised(
        self, features: Tensor, labels: Tensor, target: Tensor, progress: Progress
    ) -> tuple[Tensor, dict[str, Tensor]]:
        first, second = self._both(features, "both")
        mean = (first + second) / 2
        class_loss = self._class_losses(first.chunk(2)[0], second.chunk(2)[0], labels)
        target_loss, target_logs = self.target_loss(target, mean.chunk(2)[1], progress)
        right = accuracy(mean.chunk(2)[0], labels)
        logs = {"loss/class": class_loss.detach() / 2, "training/accuracy": right, **target_logs}
        return class_loss + target_loss, logs

    def _both(self, features: Tensor, role: str) -> tuple[Tensor, Tensor]:
        return self.classifier(features, role), self.second_classifier(features, role)

    def _class_losses(self, first: Tensor, second: Tensor, labels: Tensor) -> Tensor:
        return self.class_loss(first, labels) + self.class_loss(second, labels)

    def predict(self, images: Tensor, role: str) -> Tensor:
        """Class logits N x K: the mean of both classifiers'."""
        return self.predict_features(self.embed(images, role), role)

    def predict_features(self, features: Tensor, role: str) -> Tensor:
        """Class logits N x K: the mean of both classifiers'."""
        first, second = self._both(features, self.domain(role))
        return (first + second) / 2
