"""AdaBN: adaptive batch normalization (Li et al. 2016, arXiv:1603.04779)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from pluglab.protocols import Batch, ImageSpec, Progress, Role
from pluglab_domain_adaptation.base import ClassifierTrainer, parameters_of, require_labels
from pluglab_domain_adaptation.losses import accuracy
from pluglab_domain_adaptation.options import ClassifierOptions


class AdaBN(ClassifierTrainer):
    """Supervised on the source; for the target every batch norm takes the target's own mean and variance.

    No weight is trained on the target. An encoder without batch norm is left as it is.
    """

    class Config(ClassifierOptions):
        estimation: float = Field(0.1, gt=0, le=1)
        """Share of training, at its end, that target images are seen in to estimate their statistics."""

    roles = (Role("source", labels="required"), Role("target", labels="hidden"))
    statistics = "per_domain"

    def __init__(self, config: Config, data: Mapping[str, ImageSpec]) -> None:
        super().__init__(config, data)
        self.optimizer = config.optimizer.build(parameters_of(self.features, self.classifier))
        self.estimated = False

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        images, labels = require_labels(batch["source"])
        logits = super().predict(images, "source")
        loss = self.class_loss(logits, labels)
        self.optimizer_step(loss, progress)
        if progress.fraction >= 1 - self.config.estimation:
            with torch.no_grad():  # in training mode, a batch norm takes note of what it sees
                super().predict(batch["target"].images, "target")
            self.estimated = True
        return {"loss/class": loss.detach(), "training/accuracy": accuracy(logits, labels)}

    def predict(self, images: Tensor, role: str) -> Tensor:
        """Class logits N x K; until the target's statistics are known, the source's stand in for them."""
        return super().predict(images, role if self.estimated else "source")

    def embed(self, images: Tensor, role: str) -> Tensor:
        """Features N x F, with the statistics that `predict` uses."""
        return super().embed(images, role if self.estimated else "source")

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "estimated": self.estimated}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.estimated = state["estimated"]
