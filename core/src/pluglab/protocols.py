"""What a plugin provides, as structural types: read this module first. Nothing here imports torch.

Images are `uint8`, N x C x H x W at rest and float in [-1, 1] wherever a trainer sees them.
Labels are int64 of length N, or absent. Capabilities (`Classifies`, `Samples`, ...) are what joins any
evaluator to any trainer: an evaluator names those it `needs`, a trainer has them by having the methods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

from pluglab.images import ImageSpec as ImageSpec
from pluglab.storage.run_info import figures_at

if TYPE_CHECKING:
    import numpy as np
    import torch
    from lightning_fabric import Fabric
    from pydantic import BaseModel
    from torch import Tensor, nn

    from pluglab.images import Images


class Batch(NamedTuple):
    """`images`: float N x C x H x W in [-1, 1]. `labels`: int64 N, or None where absent or hidden."""

    images: Tensor
    labels: Tensor | None


@dataclass(frozen=True)
class Role:
    """One stream of images that a trainer reads, such as `train`, or `source` and `target`.

    `labels`: 'required' (data without labels is an error), 'optional' (given where they exist) or
    'hidden' (never given, and no checkpoint is selected by a figure that read them).
    """

    name: str
    labels: Literal["required", "optional", "hidden"] = "optional"


@dataclass(frozen=True)
class Progress:
    """Where training stands: `step` counts from 0 to `total` - 1; schedules are functions of `fraction`."""

    step: int
    total: int

    @property
    def fraction(self) -> float:
        """Training progress p in [0, 1)."""
        return self.step / self.total


class Trainer(Protocol):
    """One training method. It owns networks, optimizers and losses; the engine owns everything else."""

    Config: ClassVar[type[BaseModel]]
    roles: ClassVar[tuple[Role, ...]]

    def __init__(self, config: Any, data: Mapping[str, ImageSpec]) -> None: ...

    def setup(self, fabric: Fabric) -> None:
        """Hand networks and optimizers to Fabric (device, precision, memory layout, compilation)."""

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        """One optimization step on one batch a role. Returns scalar tensors to log, never Python floats."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything that a bit-exact resume needs (the engine keeps the random generators)."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Dataset(Protocol):
    """A source of images. Constructed from its `Config`; `prepare` runs once before any `split`."""

    Config: ClassVar[type[BaseModel]]

    def __init__(self, config: Any) -> None: ...

    def prepare(self, context: DataContext) -> None:
        """Find, download, verify and decode what is needed. Raises `UserError` with the way out."""

    def split(self, name: str) -> Images:
        """The images of one split ('train' or 'test'; a data set may have more)."""
        ...


@dataclass(frozen=True)
class DataContext:
    """Where a data set may read and write. `root` is the user's data root (never written to), or None."""

    root: Path | None
    cache: Path
    track: Callable[[str, int], ProgressBar]


class ProgressBar(Protocol):
    """A bar for long preparation work; a context manager."""

    def __enter__(self) -> ProgressBar: ...
    def __exit__(self, *exc: object) -> None: ...
    def advance(self, amount: int = 1) -> None: ...


@runtime_checkable
class Transform(Protocol):
    """Batched preprocessing or augmentation, applied on the device.

    `random` transforms are left out of evaluation. All randomness must come from `generator`, which is a
    function of (seed, role, step).
    """

    random: bool

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor: ...


@dataclass(frozen=True)
class Table:
    """Rows under columns, printed and saved as JSON."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | int]]


@dataclass(frozen=True)
class Evaluation:
    """What an evaluator found.

    `figures` are pictures as uint8 arrays, H x W x 3, or T x H x W x 3 for an animation. `headline` names
    the scalars that belong in the table of an experiment.
    """

    scalars: Mapping[str, float] = field(default_factory=dict)
    figures: Mapping[str, np.ndarray] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    headline: tuple[str, ...] = ()


class EvaluationData(Protocol):
    """One split of one role as an evaluator sees it. Reading `labels` is noted, so that no checkpoint is
    picked by labels that the trainer must not know."""

    role: str
    split: str
    spec: ImageSpec

    @property
    def labels(self) -> Tensor:
        """int64 N on the CPU. Raises `UserError` where the data has none."""
        ...

    @property
    def labelled(self) -> bool: ...

    def batches(self, size: int = 500, limit: int | None = None) -> Iterator[Tensor]:
        """Images in order, float in [-1, 1], on the device, through the deterministic transforms."""
        ...

    def raw(self, limit: int | None = None) -> Tensor:
        """The first `limit` images as stored: uint8 N x C x H x W on the CPU, no transform."""
        ...


@dataclass(frozen=True)
class EvaluationContext:
    """What surrounds an evaluation: `step` of `steps` are done.

    `label` is the evaluator's name, numbered where a recipe uses it twice. `seed` is the same at every step
    of a run. `folder` is for pictures that the evaluator writes itself. `history` holds the events of
    metrics.jsonl.
    """

    label: str
    step: int
    steps: int
    seed: int
    run: Path
    folder: Path
    cache: Path
    history: Sequence[Mapping[str, Any]]
    device: torch.device

    def earlier(self, figure: str) -> list[Path]:
        """The PNG files of this evaluator's figure from earlier steps of the training, in their order."""
        mine = [event for event in self.history if event.get("name") == self.label]
        steps = sorted({event["step"] for event in mine if event["step"] < self.step})
        files = [figures_at(self.run, step) / f"{self.label}_{figure}.png" for step in steps]
        return [file for file in files if file.is_file()]


class Evaluator(Protocol):
    """Looks at a trained model and says something about it. `needs` lists capabilities (below).

    It is made once for all evaluations, of several runs even, so it keeps nothing from one to the next.
    """

    Config: ClassVar[type[BaseModel]]
    needs: ClassVar[tuple[type, ...]]

    def __init__(self, config: Any) -> None: ...

    def evaluate(
        self, trainer: Any, data: Mapping[str, Mapping[str, EvaluationData]], context: EvaluationContext
    ) -> Evaluation:
        """`data[role][split]`; the engine has put the trainer into evaluation mode, without gradients."""
        ...


@runtime_checkable
class Prepares(Protocol):
    """An evaluator that must fetch or make something first, such as the weights of a network."""

    def prepare(self, context: DataContext) -> None:
        """Called once, before any training. Raises `UserError` with the way out."""


class Metric(Protocol):
    """A running score; every torchmetrics metric is one."""

    def update(self, *args: Any) -> None: ...
    def compute(self) -> Any: ...
    def reset(self) -> None: ...


# Capabilities -------------------------------------------------------------------------------------


@runtime_checkable
class Classifies(Protocol):
    """'classify images'"""

    def predict(self, images: Tensor, role: str) -> Tensor:
        """Class logits N x K for images of that role."""
        ...


@runtime_checkable
class Embeds(Protocol):
    """'embed images'"""

    def embed(self, images: Tensor, role: str) -> Tensor:
        """Features N x F for images of that role."""
        ...


@runtime_checkable
class Samples(Protocol):
    """'sample images'"""

    def sample(self, n: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
        """n images, float in [-1, 1]; `labels` int64 n for a class-conditional model.

        Such a model has an attribute `num_classes`, how many classes can be asked for.
        """
        ...


@runtime_checkable
class HasSampling(Protocol):
    """'sample with other options'"""

    sampling: BaseModel
    """Validated options of sampling, such as the number of steps: replaced as a whole to sample otherwise.

    A trainer that has to refuse some does so when they are set (a property) or when it samples: `UserError`.
    """


@runtime_checkable
class Reconstructs(Protocol):
    """'reconstruct images'"""

    def reconstruct(self, images: Tensor, role: str) -> Tensor | Mapping[str, Tensor]:
        """Reconstructions in [-1, 1], N x C x H x W; or several kinds of them by name."""
        ...


@runtime_checkable
class Traces(Protocol):
    """'trace a reverse process'"""

    def trajectory(self, n: int, labels: Tensor | None, generator: torch.Generator, frames: int) -> Any:
        """(times, images): frames x n x C x H x W at evenly spaced times."""
        ...


@runtime_checkable
class Diagnoses(Protocol):
    """'say what is wrong with its training'"""

    def diagnose(self, scalars: Mapping[str, float]) -> Sequence[str]:
        """What the means just logged say is wrong: a line each, with the usual remedies; mostly none.

        A line is passed on when it appears, and again when it is back after having gone. Lines that differ
        in their numbers only are one.
        """
        ...


@runtime_checkable
class HasNetworks(Protocol):
    """'list its networks'"""

    def networks(self) -> Mapping[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        """Each network with example inputs, for `lab describe`."""
        ...
