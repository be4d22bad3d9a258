"""Kind `target_loss`: losses of the predictions for unlabeled target images, for any adaptive method.

A target loss is called with a batch of them and returns a scalar. It has a `weight` and a `ramp`, a schedule;
the trainer adds weight x ramp(p) x loss. Probabilities are softmax(logits).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pluglab.components import Component, Options, Reference, named
from pluglab.data import transformed
from pluglab_domain_adaptation.losses import at_least_float32


class Unlabeled(NamedTuple):
    """Target images N x C x H x W, the model's logits N x K for them, and the model itself, for losses that
    look at the images once more."""

    images: Tensor
    logits: Tensor
    predict: Callable[[Tensor], Tensor]


class TargetLoss(Protocol):
    """What a trainer needs of a target loss."""

    @property
    def weight(self) -> float: ...
    @property
    def ramp(self) -> Callable[[float], float]: ...

    def __call__(self, target: Unlabeled) -> Tensor: ...


class TargetLossOptions(Options):
    """The options of every target loss."""

    weight: float = Field(0.1, ge=0)
    """Weight of the loss beside the class loss."""
    ramp: Annotated[Component, Reference("schedule")] = named("sigmoid_ramp")
    """Multiplier of the weight over training progress: early predictions are not to be trusted."""


class _TargetLoss:
    def __init__(self, config: TargetLossOptions) -> None:
        self.weight = config.weight
        self.ramp: Callable[[float], float] = config.ramp.build()


class Entropy(_TargetLoss):
    """Mean entropy of the predictions, in nats: class borders move away from target images
    (Grandvalet and Bengio 2005, eq. 6)."""

    Config = TargetLossOptions

    def __call__(self, target: Unlabeled) -> Tensor:
        return mean_entropy(target.logits)


class InformationMaximization(_TargetLoss):
    """Mean entropy minus the entropy of the mean prediction: each prediction sure, all classes in use
    (Krause et al. 2010; Shi and Sha 2012; SHOT, Liang et al. 2020, eq. 2 and 3)."""

    class Config(TargetLossOptions):
        diversity: float = Field(1.0, ge=0)
        """Weight of the second term; it favors equal numbers of every class."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.diversity = config.diversity

    def __call__(self, target: Unlabeled) -> Tensor:
        return mean_entropy(target.logits) - self.diversity * entropy_of_mean(target.logits)


class PseudoLabels(_TargetLoss):
    """Cross-entropy with the predicted class where the prediction is sure enough, averaged over the whole
    batch (Lee 2013). With `transforms` the image is changed before the model must find the class again
    (FixMatch, Sohn et al. 2020, eq. 4): one more pass through the networks."""

    class Config(TargetLossOptions):
        threshold: float = Field(0.95, ge=0, lt=1)
        """Probability that a prediction must reach to be believed."""
        transforms: list[Annotated[Component, Reference("transform")]] = []
        """Strong augmentation of the images on which the predicted class must be found again; then give the
        target's own `transforms` little or no augmentation."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.threshold = config.threshold
        self.transforms = [component.build() for component in config.transforms]

    def __call__(self, target: Unlabeled) -> Tensor:
        sure, labels = at_least_float32(target.logits.detach()).softmax(1).max(1)
        logits = target.predict(self.changed(target.images)) if self.transforms else target.logits
        losses = F.cross_entropy(at_least_float32(logits), labels, reduction="none")
        return (losses * (sure >= self.threshold)).mean()

    def changed(self, images: Tensor) -> Tensor:
        """The images after the transforms, whose randomness comes from torch's own generator."""
        return transformed(images, self.transforms, seed=int(torch.randint(2**62, ())))


class NuclearNorm(_TargetLoss):
    """Minus the nuclear norm of the N x K probabilities over N: sure and diverse predictions
    (batch nuclear-norm maximization, Cui et al. 2020, eq. 9)."""

    Config = TargetLossOptions

    def __call__(self, target: Unlabeled) -> Tensor:
        return -nuclear_norm(target.logits)


class ClassConfusion(_TargetLoss):
    """Share of probability that one class gives to another, over pairs of target images that count the more
    the surer they are (minimum class confusion, Jin et al. 2020, eq. 2 to 6)."""

    class Config(TargetLossOptions):
        temperature: float = Field(2.5, gt=0)
        """The logits are divided by it: sure predictions hide which classes are confused."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.temperature = config.temperature

    def __call__(self, target: Unlabeled) -> Tensor:
        soft = at_least_float32(target.logits) / self.temperature
        certainty = 1 + torch.exp(-entropy(soft)).detach()
        log_p = soft.log_softmax(1)
        # Rows of the confusion are divided by their sums (eq. 5): image i has the share w_i p_ij in that of
        # class j. As a softmax this holds also where no image gives the class any probability to speak of.
        shares = (certainty.log()[:, None] + log_p).softmax(0)
        confusion = shares.T @ log_p.exp()
        return (confusion.sum() - confusion.trace()) / soft.shape[1]


def entropy(logits: Tensor) -> Tensor:
    """-sum p log p of each prediction, N values in nats."""
    log_p = at_least_float32(logits).log_softmax(1)
    return -(log_p.exp() * log_p).sum(1)


def mean_entropy(logits: Tensor) -> Tensor:
    """The mean of the predictions' entropies, in nats."""
    return entropy(logits).mean()


def entropy_of_mean(logits: Tensor) -> Tensor:
    """The entropy of the mean prediction, in nats."""
    # Logarithms all the way: the gradient of p log p at a p that is rounded to 0 would be infinite.
    log_p = at_least_float32(logits).log_softmax(1).logsumexp(0) - math.log(len(logits))
    return -(log_p.exp() * log_p).sum()


def nuclear_norm(logits: Tensor) -> Tensor:
    """The sum of the singular values of the N x K probabilities, over N."""
    return torch.linalg.svdvals(at_least_float32(logits).softmax(1)).sum() / len(logits)
