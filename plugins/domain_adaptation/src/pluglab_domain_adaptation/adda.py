"""ADDA: adversarial discriminative domain adaptation (Tzeng et al. 2017, arXiv:1702.05464)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from pluglab.components import Component, Reference, named
from pluglab.protocols import Batch, ImageSpec, Progress
from pluglab.training import scale_lr
from pluglab_domain_adaptation.base import parameters_of, require_labels
from pluglab_domain_adaptation.losses import domain_accuracy, domain_labels, domain_loss, inverted_domain_loss
from pluglab_domain_adaptation.networks import has_batch_norm
from pluglab_domain_adaptation.options import AdaptiveOptions
from pluglab_domain_adaptation.two_phases import TwoPhases


class ADDA(TwoPhases):
    """First a source encoder and classifier, supervised. Then both are fixed, and a copy of the encoder
    learns to give target images features that a discriminator takes for the source's (eq. 9)."""

    class Config(AdaptiveOptions):
        pretraining: float = Field(0.5, gt=0, lt=1)
        """Share of training that is supervised, on the source alone."""
        replay: float = Field(0.0, ge=0)
        """Weight of the class loss of source images seen through the target encoder, which keeps its classes
        in place while it moves. The paper has none."""
        fooling_weight: float = Field(0.1, ge=0)
        """Weight of the inverted domain loss of the target encoder. A small one lets the classes hold; where
        it is the only loss, Adam makes its scale irrelevant."""
        target_optimizer: Annotated[Component, Reference("optimizer")] = named(
            "adam", lr=2e-4, betas=(0.5, 0.999)
        )
        """The optimizer of the target encoder; the paper's by default."""
        discriminator_optimizer: Annotated[Component, Reference("optimizer")] = named(
            "adam", lr=2e-4, betas=(0.5, 0.999)
        )
        """The optimizer of the discriminator; the paper's by default."""
        target_schedule: Annotated[Component, Reference("schedule")] = named("constant")
        """Multiplier of both rates over the progress of the adversarial part."""

    def __init__(self, config: Config, data: Mapping[str, ImageSpec]) -> None:
        super().__init__(config, data)
        self.target_schedule = config.target_schedule.build()
        self.joint_norms = config.batch_norm == "joint" and has_batch_norm(self.target_features)
        self.discriminator = self.encoder.discriminator()
        self.target_optimizer = config.target_optimizer.build(parameters_of(self.target_features))
        self.discriminator_optimizer = config.discriminator_optimizer.build(parameters_of(self.discriminator))

    def adapt(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        """Discriminator, then target encoder; the weights of the source encoder and classifier stay."""
        (source, labels), target, c = require_labels(batch["source"]), batch["target"].images, self.config
        for optimizer in (self.target_optimizer, self.discriminator_optimizer):
            scale_lr(optimizer, progress.at(self.target_schedule))
        self.classifier.eval()
        with torch.no_grad():  # in training mode, so that dropout does not give the domain away
            fixed = self.features(source, "source")
        replayed, moving = self.moved(source, target)
        is_target = domain_labels(2 * len(target), target.device)

        # Both halves together, also where only the target's loss counts: a batch norm in the discriminator
        # that saw target features alone would subtract the very shift that they are to lose.
        domains = self.discriminator(torch.cat([fixed, moving.detach()]))
        domain = domain_loss(domains, is_target)
        self.update(self.discriminator_optimizer, domain)
        judged = self.discriminator(torch.cat([fixed, moving])).chunk(2)[1]
        fooling = inverted_domain_loss(judged, is_target[len(target) :])
        loss = c.fooling_weight * fooling
        if c.replay and replayed is not None:
            loss = loss + c.replay * self.class_loss(self.classifier(replayed, "source"), labels)
        target_logits = self.classifier(moving, "source")
        target_loss, target_logs = self.target_loss(target, target_logits, progress)
        self.update(self.target_optimizer, loss + target_loss)
        return {
            "loss/domain": domain.detach(),
            "loss/fooling": fooling.detach(),
            "training/domain_accuracy": domain_accuracy(domains, is_target),
            **target_logs,
        }

    def moved(self, source: Tensor, target: Tensor) -> tuple[Tensor | None, Tensor]:
        """Features of both domains by the target encoder; the source's only where they count.

        That is where they are replayed, and where a batch norm takes its statistics of both domains.
        """
        if not self.config.replay and not self.joint_norms:
            return None, self.target_features(target, "target")
        replayed, moving = self.target_features(torch.cat([source, target]), "both").chunk(2)
        return replayed, moving
