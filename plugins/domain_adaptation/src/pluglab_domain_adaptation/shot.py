"""SHOT: adaptation without the source's images (Liang et al. 2020, arXiv:2002.08546)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pluglab.components import Component, Reference, named
from pluglab.protocols import Batch, ImageSpec, Progress
from pluglab.training import scale_lr
from pluglab_domain_adaptation.base import parameters_of
from pluglab_domain_adaptation.losses import at_least_float32
from pluglab_domain_adaptation.options import TargetOptions
from pluglab_domain_adaptation.target_losses import entropy_of_mean, mean_entropy
from pluglab_domain_adaptation.two_phases import TwoPhases


class SHOT(TwoPhases):
    """First a source encoder and classifier, supervised. Then the classifier is fixed, no source image is
    looked at, and a copy of the encoder learns from the target: information maximization (eq. 3), and
    cross-entropy with pseudo-labels by the nearest class centroid (eq. 4 to 6)."""

    class Config(TargetOptions):
        pretraining: float = Field(0.5, ge=0, lt=1)
        """Share of training that is supervised, on the source alone. 0: all is done by the run that this one
        starts from, with --init."""
        pseudo_weight: float = Field(0.3, ge=0)
        """Weight beta of the cross-entropy with pseudo-labels, beside the information maximization."""
        memory: int = Field(2048, ge=2)
        """Target images, the last seen, whose features make the centroids. The paper goes through the whole
        target once an epoch instead."""
        target_optimizer: Annotated[Component, Reference("optimizer")] = named("adam", lr=2e-4)
        """The optimizer of the target encoder."""
        target_schedule: Annotated[Component, Reference("schedule")] = named("constant")
        """Multiplier of its rate over the progress of the second part."""

    by_share = "the mean prediction is that of a share"
    # Plain batch norms: in the second part the encoder sees the target alone, so its statistics are the
    # target's; and the weights of a run of source_only fit.
    statistics = "joint"

    def __init__(self, config: Config, data: Mapping[str, ImageSpec]) -> None:
        super().__init__(config, data)
        self.target_schedule = config.target_schedule.build()
        self.target_optimizer = config.target_optimizer.build(parameters_of(self.target_features))
        self.remembered = torch.zeros(0, self.encoder.out_features + 1 + self.spec.num_classes)

    def adapt(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        """The target encoder; source encoder and classifier stay."""
        images = batch["target"].images
        scale_lr(self.target_optimizer, progress.at(self.target_schedule))
        self.classifier.eval()
        features = self.target_features(images, "target")
        logits = self.classifier(features, "source")

        certain, diverse = mean_entropy(logits), entropy_of_mean(logits)
        pseudo = F.cross_entropy(at_least_float32(logits), self.labels(features.detach(), logits.detach()))
        target_loss, target_logs = self.target_loss(images, logits, progress)
        loss = certain - diverse + self.config.pseudo_weight * pseudo + target_loss
        self.update(self.target_optimizer, loss)
        return {
            "loss/entropy": certain.detach(),
            "loss/diversity": diverse.detach(),
            "loss/pseudo": pseudo.detach(),
            **target_logs,
        }

    def labels(self, features: Tensor, logits: Tensor) -> Tensor:
        """Pseudo-labels N of a batch, by the centroids of what is remembered, this batch with it."""
        directions, probabilities = directions_of(features), at_least_float32(logits).softmax(1)
        now = torch.cat([directions, probabilities], dim=1)
        self.remembered = torch.cat([now, self.remembered.to(now)])[: self.config.memory]
        width = directions.shape[1]
        return nearest(directions, centroids(self.remembered[:, :width], self.remembered[:, width:]))

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "remembered": {"images": self.remembered}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.remembered = state["remembered"]["images"]


def directions_of(features: Tensor) -> Tensor:
    """Features N x F with a further one that is 1, as unit vectors N x (F + 1): the authors' code."""
    features = at_least_float32(features)
    return F.normalize(torch.cat([features, torch.ones_like(features[:, :1])], dim=1), dim=1)


def centroids(directions: Tensor, probabilities: Tensor) -> Tensor:
    """Class centroids K x D of unit vectors N x D: first weighted by probabilities N x K (eq. 4), then of the
    vectors that are nearest to each of those (eq. 6). NaN for a class that is nearest to none."""
    first = probabilities.T @ directions / (probabilities.sum(0)[:, None] + 1e-8)
    members = F.one_hot(nearest(directions, first), probabilities.shape[1]).to(directions)
    return members.T @ directions / members.sum(0)[:, None]


def nearest(directions: Tensor, centers: Tensor) -> Tensor:
    """The center K x D of the least cosine distance to each of N x D (eq. 5), int64 N; none that is NaN."""
    return (directions @ F.normalize(centers, dim=1).T).nan_to_num(nan=-2).argmax(1)
