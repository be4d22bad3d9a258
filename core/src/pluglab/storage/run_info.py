"""What observers and evaluators are told about a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


def figures_at(run: Path, step: int) -> Path:
    """Where the figures of an evaluation during the training are, in the run's folder."""
    return run / "figures" / f"step_{step:08d}"


def run_label(variant: str, seed: int) -> str:
    """What distinguishes a run within its experiment, such as 'dann, seed 0'."""
    return ", ".join(filter(None, [variant, f"seed {seed}"]))


@dataclass(frozen=True)
class RunInfo:
    """One run: a recipe's variant with one seed. `index` of `count` is its place in its experiment."""

    folder: Path
    recipe: str
    variant: str
    seed: int
    steps: int
    batch_size: int
    index: int = 0
    count: int = 1

    @property
    def label(self) -> str:
        return run_label(self.variant, self.seed)
