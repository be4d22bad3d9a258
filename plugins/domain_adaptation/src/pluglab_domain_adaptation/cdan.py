"""CDAN: conditional adversarial domain adaptation (Long et al. 2018, arXiv:1705.10667)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from pluglab.components import Component, Reference, named
from pluglab.protocols import Batch, ImageSpec, Progress, Role
from pluglab_domain_adaptation.base import ClassifierTrainer, parameters_of, require_labels
from pluglab_domain_adaptation.losses import (
    accuracy,
    at_least_float32,
    domain_accuracy,
    domain_labels,
    domain_loss,
)
from pluglab_domain_adaptation.networks import reverse
from pluglab_domain_adaptation.options import AdaptiveOptions
from pluglab_domain_adaptation.target_losses import entropy


class CDAN(ClassifierTrainer):
    """DANN whose discriminator sees what class an image is taken for: features and probabilities, multiplied.

    One loss: class + w x domain, the domain loss through gradient reversal (eq. 8 and 9). No gradient goes
    through the probabilities.
    """

    class Config(AdaptiveOptions):
        domain_weight: float = Field(0.3, ge=0)
        """Weight w of the domain loss, which is the mean over the images of both domains. The paper sums the
        two domains' means, which is w = 2."""
        adaptation: Annotated[Component, Reference("schedule")] = named("sigmoid_ramp")
        """The factor of the reversed gradient over training progress."""
        entropy_conditioning: bool = True
        """Whether sure predictions count more in the domain loss, by 1 + exp(-entropy): CDAN+E (eq. 9)."""
        largest_product: int = Field(4096, ge=0)
        """Features times classes up to which their whole product is used; beyond, random sums of it."""
        random_sums: int = Field(1024, ge=1)
        """How many random sums."""
        discriminator_width: int = Field(256, ge=1)
        """Hidden units of the discriminator's two layers; the paper has 1,024."""

    roles = (Role("source", labels="required"), Role("target", labels="hidden"))
    by_share = "the weights of its domain loss sum to one over a share"

    def __init__(self, config: Config, data: Mapping[str, ImageSpec]) -> None:
        super().__init__(config, data)
        self.adaptation = config.adaptation.build()
        sizes = self.encoder.out_features, self.spec.num_classes
        conditioning = multilinear(*sizes, config.largest_product, config.random_sums)
        self.discriminator = Discriminator(conditioning, config.discriminator_width)
        networks = self.features, self.classifier, self.discriminator
        self.optimizer = config.optimizer.build(parameters_of(*networks))

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        (source, labels), target = require_labels(batch["source"]), batch["target"].images
        features = self.features(torch.cat([source, target]), "both")
        both = self.classifier(features, "both")
        logits, target_logits = both.chunk(2)
        reversed_features = reverse(features, progress.at(self.adaptation))
        domains = self.discriminator(reversed_features, at_least_float32(both.detach()).softmax(1))
        is_target = domain_labels(len(features), features.device)

        weights = certainty(both.detach()) if self.config.entropy_conditioning else None
        class_loss, adversarial = self.class_loss(logits, labels), domain_loss(domains, is_target, weights)
        target_loss, target_logs = self.target_loss(target, target_logits, progress)
        self.optimizer_step(class_loss + self.config.domain_weight * adversarial + target_loss, progress)
        return {
            "loss/class": class_loss.detach(),
            "loss/domain": adversarial.detach(),
            "training/accuracy": accuracy(logits, labels),
            "training/domain_accuracy": domain_accuracy(domains, is_target),
            **target_logs,
        }

    def networks(self) -> Mapping[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        """Each network with blank inputs: the discriminator takes features and probabilities."""
        found = dict(super().networks())
        network, (features,) = found["discriminator"]
        probabilities = features.new_zeros(len(features), self.spec.num_classes)
        return {**found, "discriminator": (network, (features, probabilities))}


def certainty(logits: Tensor) -> Tensor:
    """1 + exp(-entropy) of each prediction, scaled to a mean of 1 over the batch (eq. 9)."""
    weights = 1 + torch.exp(-entropy(logits))
    return weights / weights.mean()


class Product(nn.Module):
    """T(f, g) = f x g: every product of one feature and one probability, N x (F K) (eq. 4)."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.out_features = features * classes

    def forward(self, features: Tensor, probabilities: Tensor) -> Tensor:
        return (probabilities[:, :, None] * features[:, None, :]).flatten(1)


class RandomSums(nn.Module):
    """T(f, g) = (R_f f) * (R_g g) / sqrt(d), with fixed normal R of d columns: its scalar products are those
    of the whole product, in expectation (eq. 6)."""

    of_features: Tensor
    of_classes: Tensor

    def __init__(self, features: int, classes: int, out_features: int) -> None:
        super().__init__()
        self.out_features = out_features
        self.register_buffer("of_features", torch.randn(features, out_features))
        self.register_buffer("of_classes", torch.randn(classes, out_features))

    def forward(self, features: Tensor, probabilities: Tensor) -> Tensor:
        sums = (features @ self.of_features) * (probabilities @ self.of_classes)
        return sums / self.out_features**0.5


def multilinear(features: int, classes: int, largest: int, sums: int) -> Product | RandomSums:
    """The whole product where it has no more than `largest` values, else so many random sums of it."""
    small = features * classes <= largest
    return Product(features, classes) if small else RandomSums(features, classes, sums)


class Discriminator(nn.Module):
    """Features N x F and probabilities N x K to domain logits N x 2 (source, target)."""

    def __init__(self, conditioning: Product | RandomSums, width: int) -> None:
        super().__init__()
        self.conditioning = conditioning
        first = [nn.Linear(conditioning.out_features, width), nn.ReLU()]
        self.layers = nn.Sequential(*first, nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))

    def forward(self, features: Tensor, probabilities: Tensor) -> Tensor:
        return self.layers(self.conditioning(features, probabilities))
