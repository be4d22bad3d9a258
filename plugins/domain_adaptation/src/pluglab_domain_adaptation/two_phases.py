"""A source encoder and classifier, then a target encoder that starts as a copy: for ADDA and SHOT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pluglab.protocols import Batch, ImageSpec, Progress, Role
from pluglab_domain_adaptation.base import ClassifierTrainer, parameters_of, require_labels
from pluglab_domain_adaptation.losses import accuracy
from pluglab_domain_adaptation.networks import require_domain


class TwoPhases(ClassifierTrainer):
    """First a source encoder and classifier, supervised. Then both are fixed, and a copy of the encoder
    learns from the target. Which phase a step belongs to follows from the progress."""

    roles = (Role("source", labels="required"), Role("target", labels="hidden"))

    def __init__(self, config: Any, data: Mapping[str, ImageSpec]) -> None:
        super().__init__(config, data)
        self.target_features = self.domain_network(self.encoder.features())
        self.adapting = False
        self.optimizer = config.optimizer.build(parameters_of(self.features, self.classifier))

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        share: float = self.config.pretraining
        if progress.fraction < share:
            return self.pretrain(batch, progress.during(0, share))
        if not self.adapting:
            self.start_adapting()
        return self.adapt(batch, progress.during(share, 1))

    def adapt(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        """One step of the second phase, whose own progress this is."""
        raise TypeError(f"{type(self).__name__} must define adapt(batch, progress)")

    def start_adapting(self) -> None:
        """The target encoder starts as the source encoder."""
        self.target_features.load_state_dict(self.features.state_dict())
        self.target_features.copy_statistics()
        self.enter_phase(adapting=True)

    def enter_phase(self, *, adapting: bool) -> None:
        """Once adapting, the source encoder and the classifier learn no more."""
        self.adapting = adapting
        for network in (self.features, self.classifier):
            network.requires_grad_(not adapting)

    def pretrain(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        """Source encoder and classifier, supervised."""
        images, labels = require_labels(batch["source"])
        logits = self.classifier(self.features(images, "source"), "source")
        loss = self.class_loss(logits, labels)
        self.optimizer_step(loss, progress)
        return {"loss/class": loss.detach(), "training/accuracy": accuracy(logits, labels)}

    def predict(self, images: Tensor, role: str) -> Tensor:
        """Class logits N x K; until the target encoder exists, the source's stands in for it."""
        return self.classifier(self.embed(images, role), "source")

    def predict_features(self, features: Tensor, role: str) -> Tensor:
        """Class logits N x K; the classifier is one for both domains."""
        return self.classifier(features, "source")

    def embed(self, images: Tensor, role: str) -> Tensor:
        """Features N x F of the role's own encoder."""
        if require_domain(self.domain(role)) == "target" and self.adapting:
            return self.target_features(images, "target")
        return self.features(images, "source")

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "adapting": self.adapting}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.enter_phase(adapting=state["adapting"])
