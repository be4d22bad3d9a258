"""The options that methods share."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pluglab.components import Component, Options, Reference, named
from pluglab_domain_adaptation.networks import Domain, Statistics


class ClassifierOptions(Options):
    """The options of every method: a fair comparison holds them fixed."""

    encoder: Annotated[Component, Reference("encoder")] = named("modern")
    """The networks."""
    optimizer: Annotated[Component, Reference("optimizer")] = named("adamw", lr=2e-3, weight_decay=1e-3)
    """The optimizer of all networks."""
    schedule: Annotated[Component, Reference("schedule")] = named("one_cycle")
    """Learning-rate multiplier over training progress."""
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    """Share of each label that is spread over all classes (Szegedy et al. 2016)."""


class DomainOptions(ClassifierOptions):
    """The options of every method that treats the two domains unlike."""

    domains: dict[str, Domain] = {}
    """Which domain a further role is taken for where its images are predicted, as in { val = "target" }.
    It decides whose batch-norm statistics and, where each domain has its own, whose networks are used."""


class TargetOptions(DomainOptions):
    """The options of every method that learns from an unlabeled target."""

    target_losses: list[Annotated[Component, Reference("target_loss")]] = []
    """Losses of the predictions for unlabeled target images, added to the method's own."""


class AdaptiveOptions(TargetOptions):
    """The options of every method that trains one network on both domains."""

    batch_norm: Statistics = "per_domain"
    """Batch-norm statistics of source and target together ('joint'), or of each domain apart, in training
    and in prediction ('per_domain': Li et al. 2016, Chang et al. 2019)."""
