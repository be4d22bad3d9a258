"""AdaBN: adaptive batch normalization (Li et al. 2016, arXiv:1603.04779)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from pluglab.errors import UserError
from pluglab.protocols import Batch, ImageSpec, Progress, Role
from pluglab_domain_adaptation.base import ClassifierTrainer, parameters_of, require_labels
from pluglab_domain_adaptation.losses import accuracy
from pluglab_domain_adaptation.networks import DomainBatchNorm
from pluglab_domain_adaptation.options import DomainOptions

NOT_YET = (
    "not AdaBN yet: the target's statistics have not been estimated, and the source's stand in for them, "
    "as in source_only (the option `estimation` says when)"
)


class AdaBN(ClassifierTrainer):
    """Supervised on the source; for the target every batch norm takes the target's own mean and variance.

    No weight is trained on the target. An encoder without batch norm is left as it is.
    """

    class Config(DomainOptions):
        estimation: float = Field(0.1, gt=0, le=1)
        """Share of training, at its end, that target images are seen in to estimate their statistics: the
        average of those of all these batches, without dropout."""

    roles = (Role("source", labels="required"), Role("target", labels="hidden"))
    statistics = "per_domain"

    def __init__(self, config: Config, data: Mapping[str, ImageSpec]) -> None:
        super().__init__(config, data)
        self.optimizer = config.optimizer.build(parameters_of(self.features, self.classifier))
        self.estimated = False
        for norm in self._norms():
            norm.target.momentum = None  # of all batches alike: of a running average the start is a part

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        self._require_estimation(progress.total)
        images, labels = require_labels(batch["source"])
        logits = super().predict(images, "source")
        loss = self.class_loss(logits, labels)
        self.optimizer_step(loss, progress)
        if self._estimates(progress.step, progress.total):
            self.estimate(batch["target"].images)
        return {"loss/class": loss.detach(), "training/accuracy": accuracy(logits, labels)}

    def estimate(self, images: Tensor) -> None:
        """Batch norms take note of target images, which go through the networks as in prediction."""
        networks = self.features, self.classifier
        for network in networks:
            network.eval()
        for norm in self._norms():
            norm.target.train()
        with torch.no_grad():
            super().predict(images, "target")
        for network in networks:
            network.train()
        self.estimated = True

    def predict(self, images: Tensor, role: str) -> Tensor:
        """Class logits N x K. Until the target's statistics are known, the source's stand in for them, with a
        warning."""
        return super().predict(images, self._known(role))

    def embed(self, images: Tensor, role: str) -> Tensor:
        """Features N x F, with the statistics that `predict` uses."""
        return super().embed(images, self._known(role))

    def predict_features(self, features: Tensor, role: str) -> Tensor:
        """Class logits N x K, with the statistics that `predict` uses."""
        return super().predict_features(features, self._known(role))

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "estimated": self.estimated}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.estimated = state["estimated"]

    def _norms(self) -> list[DomainBatchNorm]:
        modules = (*self.features.modules(), *self.classifier.modules())
        return [module for module in modules if isinstance(module, DomainBatchNorm)]

    def _known(self, role: str) -> str:
        if self.estimated or self.domain(role) != "target":
            return role
        warnings.warn(NOT_YET, stacklevel=3)
        return "source"

    def _estimates(self, step: int, total: int) -> bool:
        return step / total >= 1 - self.config.estimation

    def _require_estimation(self, total: int) -> None:
        """Raises `UserError` where not even the last step would estimate."""
        if not self._estimates(total - 1, total):
            message = f"`estimation = {self.config.estimation:g}` of {total} steps is no step"
            raise UserError(message, help=[f"a share of at least one in {total}, or more steps"])
