"""DSN: domain separation networks (Bousmalis et al. 2016, arXiv:1608.06019)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from pluglab.components import Component, Reference, named
from pluglab.protocols import Batch, ImageSpec, Progress, Role
from pluglab_domain_adaptation.base import ClassifierTrainer, parameters_of, require_labels
from pluglab_domain_adaptation.losses import (
    accuracy,
    difference_loss,
    domain_accuracy,
    domain_labels,
    domain_loss,
    mmd,
    si_mse,
)
from pluglab_domain_adaptation.networks import require_domain, reverse
from pluglab_domain_adaptation.options import AdaptiveOptions


class DSN(ClassifierTrainer):
    """Shared features hold what the domains have in common, private ones the rest; together they redraw the
    image, and the shared ones classify it.

    One loss and one step for all networks: class + alpha reconstruction + beta difference + gamma similarity
    (eq. 1), where the similarity is DANN's domain loss through gradient reversal, or the maximum mean
    discrepancy, switched on later.
    """

    class Config(AdaptiveOptions):
        alpha: float = Field(0.01, ge=0)
        """Weight of the scale-invariant reconstruction error of both domains (eq. 3 and 4)."""
        beta: float = Field(0.075, ge=0)
        """Weight of the difference loss of both domains (eq. 5)."""
        gamma: float = Field(0.25, ge=0)
        """Weight of the similarity loss."""
        similarity: Literal["adversarial", "mmd"] = "adversarial"
        """What makes the shared features of both domains alike: DANN's domain loss (eq. 6), or the maximum
        mean discrepancy with a sum of Gaussian kernels (eq. 7), which needs no discriminator."""
        active_from: float = Field(0.1, ge=0, lt=1)
        """Share of training after which the similarity loss is switched on."""
        adaptation: Annotated[Component, Reference("schedule")] = named("sigmoid_ramp")
        """Factor of the reversed gradient over the progress since the similarity loss was switched on."""
        decoder: Annotated[Component, Reference("decoder")] = named("dsn_paper")
        """The network from features to images, one for both domains."""

    roles = (Role("source", labels="required"), Role("target", labels="hidden"))
    by_share = "the losses of difference and of similarity compare the images of a share"

    def __init__(self, config: Config, data: Mapping[str, ImageSpec]) -> None:
        super().__init__(config, data)
        self.adaptation = config.adaptation.build()
        self.source_features = self.encoder.private_features()
        self.target_features = self.encoder.private_features()
        self.decoder = config.decoder.build(self.encoder.out_features, self.spec)
        networks = [self.features, self.source_features, self.target_features, self.classifier, self.decoder]
        if config.similarity == "adversarial":
            self.discriminator = self.encoder.discriminator()
            networks.append(self.discriminator)
        self.optimizer = config.optimizer.build(parameters_of(*networks))

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        (source, labels), target = require_labels(batch["source"]), batch["target"].images
        c = self.config
        gamma, factor = self.similarity(progress)
        images = torch.cat([source, target])
        shared = self.features(images, "both")
        private = torch.cat([self.source_features(source), self.target_features(target)])
        logits, target_logits = self.classifier(shared, "both").chunk(2)

        class_loss = self.class_loss(logits, labels)
        similarity, similarity_logs = self.similarity_loss(shared, factor)
        # Both domains have as many images: twice the mean over the two is the sum of the means of eq. 3.
        reconstruction = 2 * si_mse(images, self.decoder(shared + private))
        pairs = zip(private.chunk(2), shared.chunk(2), strict=True)
        difference = torch.stack([difference_loss(*pair) for pair in pairs]).sum()
        separation = c.alpha * reconstruction + c.beta * difference + gamma * similarity
        target_loss, target_logs = self.target_loss(target, target_logits, progress)
        self.optimizer_step(class_loss + separation + target_loss, progress)
        return {
            "loss/class": class_loss.detach(),
            "loss/reconstruction": reconstruction.detach(),
            "loss/difference": difference.detach(),
            "loss/similarity": similarity.detach(),
            "training/accuracy": accuracy(logits, labels),
            **similarity_logs,
            **target_logs,
        }

    def similarity_loss(self, shared: Tensor, factor: float) -> tuple[Tensor, dict[str, Tensor]]:
        """The similarity loss of shared features, the source's first, and what else there is to log."""
        if self.config.similarity == "mmd":
            return mmd(*shared.chunk(2)), {}
        domains = self.discriminator(reverse(shared, factor))
        is_target = domain_labels(len(shared), shared.device)
        logs = {"training/domain_accuracy": domain_accuracy(domains, is_target)}
        return domain_loss(domains, is_target), logs

    def similarity(self, progress: Progress) -> tuple[float, float]:
        """Weight of the similarity loss and factor of its reversed gradient now."""
        start = self.config.active_from
        if start and progress.fraction < start:
            return 0.0, 0.0
        return self.config.gamma, progress.during(start, 1).at(self.adaptation)

    def reconstruct(self, images: Tensor, role: str) -> Mapping[str, Tensor]:
        """What the shared, the private and both kinds of features say of the images.

        The loss leaves the brightness of a whole image open, so each takes the mean of its input.
        """
        domain = require_domain(self.domain(role))
        shared = self.features(images, domain)
        private = self.source_features(images) if domain == "source" else self.target_features(images)
        codes = {"shared": shared, "private": private, "both": shared + private}
        return {kind: _with_mean_of(images, self.decoder(code)) for kind, code in codes.items()}


def _with_mean_of(images: Tensor, made: Tensor) -> Tensor:
    return made + (images - made).mean((1, 2, 3), keepdim=True)
