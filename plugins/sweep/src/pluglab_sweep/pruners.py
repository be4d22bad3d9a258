"""Optuna's pruners under short names."""

from __future__ import annotations

from typing import Annotated

from optuna import pruners
from pydantic import Field

from pluglab import Component, Options, Reference, named, takes
from pluglab_sweep.signatures import made_by


class PatientOptions(Options):
    """Of `patient`."""

    pruner: Annotated[Component, Reference("sweep_pruner")] = named("median")
    """The pruner that is believed later."""
    patience: int = Field(2, ge=0)
    """Looks without a better score before it is asked."""
    min_delta: float = Field(0.0, ge=0)
    """What a score must be better by to count."""


@takes(PatientOptions)
def patient(options: PatientOptions) -> pruners.BasePruner:
    """Waits while scores get better."""
    return pruners.PatientPruner(options.pruner.build(), options.patience, options.min_delta)


median = made_by(pruners.MedianPruner)
percentile = made_by(pruners.PercentilePruner)
successive_halving = made_by(pruners.SuccessiveHalvingPruner)
hyperband = made_by(pruners.HyperbandPruner)
threshold = made_by(pruners.ThresholdPruner)
wilcoxon = made_by(pruners.WilcoxonPruner)
