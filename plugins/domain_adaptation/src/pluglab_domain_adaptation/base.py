"""What every method here shares: an encoder, a classifier, one optimizer, and how to predict with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pluglab.errors import UserError
from pluglab.protocols import Batch, ImageSpec, Progress
from pluglab.training import TrainerBase, modules_of, scale_lr
from pluglab_domain_adaptation.encoders import Encoder
from pluglab_domain_adaptation.losses import at_least_float32
from pluglab_domain_adaptation.networks import DomainNetwork, Statistics, statistics_kept
from pluglab_domain_adaptation.target_losses import Unlabeled


class ClassifierTrainer(TrainerBase):
    """Features and a classifier. Can classify, embed, classify features, and list its networks."""

    features: nn.Module
    classifier: nn.Module
    optimizer: torch.optim.Optimizer
    statistics: Statistics = "joint"

    def __init__(self, config: Any, data: Mapping[str, ImageSpec]) -> None:
        self.config, self.spec = config, one_spec(data)
        self.encoder: Encoder = config.encoder.build(self.spec)
        self.schedule = config.schedule.build()
        self.statistics = getattr(config, "batch_norm", self.statistics)
        chosen = getattr(config, "target_losses", [])
        self.target_losses = [(component.name, component.build()) for component in chosen]
        self.features = self.domain_network(self.encoder.features())
        self.classifier = self.domain_network(self.encoder.classifier(self.spec.num_classes))

    def domain_network(self, network: nn.Module) -> DomainNetwork:
        """`network`, called as `network(inputs, role)`, with batch norm as the options want it.

        Not for a discriminator: statistics of each domain would hide from it the very shift it looks for.
        """
        return DomainNetwork(network, self.statistics)

    def class_loss(self, logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        """Mean cross-entropy with label smoothing; each image's part is multiplied by its `weights`, N."""
        logits, smoothing = at_least_float32(logits), self.config.label_smoothing
        if weights is None:
            return F.cross_entropy(logits, labels, label_smoothing=smoothing)
        losses = F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
        return (weights * losses).mean()

    def target_loss(
        self, images: Tensor, logits: Tensor, progress: Progress
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum of the target losses now, and each of them bare, to log."""
        target = Unlabeled(images, logits, self.predict_again)
        values = [(name, loss, loss(target)) for name, loss in self.target_losses]
        weighted = (loss.weight * progress.at(loss.ramp) * value for _, loss, value in values)
        total = sum(weighted, start=logits.new_zeros(()))
        return total, {f"loss/{name}": value.detach() for name, _, value in values}

    def predict_again(self, images: Tensor) -> Tensor:
        """Class logits N x K of changed target images. They leave no trace in the running statistics, which
        are of images as they are predicted."""
        with statistics_kept(*modules_of(self).values()):
            return self.predict(images, "target")

    def optimizer_step(self, loss: Tensor, progress: Progress) -> None:
        """One step of the optimizer at the rate of now."""
        scale_lr(self.optimizer, progress.at(self.schedule))
        self.update(self.optimizer, loss)

    def domain(self, role: str) -> str:
        """The domain that a role's images are taken for: the role itself, or what `domains` says."""
        further: Mapping[str, str] = getattr(self.config, "domains", {})
        return further.get(role, role)

    def predict(self, images: Tensor, role: str) -> Tensor:
        """Class logits N x K."""
        domain = self.domain(role)
        return self.classifier(self.features(images, domain), domain)

    def embed(self, images: Tensor, role: str) -> Tensor:
        """Features N x F: what the classifier sees."""
        return self.features(images, self.domain(role))

    def predict_features(self, features: Tensor, role: str) -> Tensor:
        """Class logits N x K of features that `embed` has made."""
        return self.classifier(features, self.domain(role))

    def networks(self) -> Mapping[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        """Each network with two blank inputs."""
        device = next(self.features.parameters()).device
        images = self.spec.blank(2, device)
        features = torch.zeros(2, self.encoder.out_features, device=device)
        inputs = {name: images for name in modules_of(self) if name.endswith("features")}
        plain = {name: getattr(net, "network", net) for name, net in modules_of(self).items()}
        return {name: (net, (inputs.get(name, features),)) for name, net in plain.items()}


def require_labels(batch: Batch) -> tuple[Tensor, Tensor]:
    """Images and labels of a role that requires labels. Raises `UserError` where there are none."""
    if batch.labels is None:
        raise UserError("this role needs labels", help=["choose a labeled data set"])
    return batch.images, batch.labels


def parameters_of(*networks: nn.Module) -> Iterable[nn.Parameter]:
    """All parameters of several networks."""
    return (parameter for network in networks for parameter in network.parameters())


def one_spec(data: Mapping[str, ImageSpec]) -> ImageSpec:
    """The shape that all roles' images share, and the classes. Raises `UserError` where they differ."""
    specs = list(data.items())
    name, first = specs[0]
    for other, spec in specs[1:]:
        if spec.shape != first.shape:
            sizes = [" x ".join(map(str, one.shape)) for one in (first, spec)]
            raise UserError(
                f"{name} has images of {sizes[0]}, {other} of {sizes[1]}: one network reads both",
                help=["give both data sets the same `size` and number of channels"],
            )
    if not first.num_classes:
        help = ["choose a labeled data set, or give `classes=` to its Images"]
        raise UserError(f"{name} has no classes to learn", help=help)
    return first
