"""Optuna's samplers under short names. Each is made with the space, which only some of them need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from optuna import samplers

from pluglab_sweep.signatures import made_by

Space = Mapping[str, Sequence[Any]]
"""The values of each parameter that has so many and no more."""


class MakesSampler(Protocol):
    """A component of kind `sweep_sampler`: a function that returns a sampler of Optuna."""

    def __call__(self, space: Space) -> samplers.BaseSampler: ...


class _Grid(samplers.GridSampler):
    """Leaves the end of the study, after the last combination, to whoever asks for trials."""

    def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
        """Nothing is left to do."""


class _BruteForce(samplers.BruteForceSampler):
    """The same."""

    def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
        """Nothing is left to do."""


def grid(space: Space, *, seed: int | None = None) -> samplers.BaseSampler:
    """Every combination of the values once."""
    return _Grid(space, seed)


random = made_by(samplers.RandomSampler, first="space")
brute_force = made_by(_BruteForce, first="space")
tpe = made_by(
    samplers.TPESampler,
    first="space",
    without=("consider_prior", "consider_magic_clip", "consider_endpoints", "gamma", "weights"),
)
gp = made_by(samplers.GPSampler, first="space")
cmaes = made_by(samplers.CmaEsSampler, first="space", without=("restart_strategy", "inc_popsize"))
nsga_ii = made_by(samplers.NSGAIISampler, first="space")
nsga_iii = made_by(samplers.NSGAIIISampler, first="space")
qmc = made_by(samplers.QMCSampler, first="space")
