"""What a plugin provides, as structural types: read this module first. Nothing here imports torch.

Images are `uint8`, N x C x H x W at rest and float in [-1, 1] wherever a trainer sees them. Labels are int64
of length N, or absent. What a trainer can do besides training is in `pluglab.capabilities`.

A component may have a `Config` (`pluglab.components.Options`), and is then constructed with one first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

# What evaluators ask of trainers is named here too: one import is enough for an author.
from pluglab.capabilities import Classifies as Classifies
from pluglab.capabilities import Diagnoses as Diagnoses
from pluglab.capabilities import Embeds as Embeds
from pluglab.capabilities import Generates as Generates
from pluglab.capabilities import HasNetworks as HasNetworks
from pluglab.capabilities import HasSampling as HasSampling
from pluglab.capabilities import Reconstructs as Reconstructs
from pluglab.capabilities import Samples as Samples
from pluglab.capabilities import SamplesClasses as SamplesClasses
from pluglab.capabilities import Traces as Traces
from pluglab.capabilities import Translates as Translates
from pluglab.images import ImageSpec as ImageSpec

if TYPE_CHECKING:
    import numpy as np
    import torch
    from lightning_fabric import Fabric
    from torch import Tensor, nn

    from pluglab.images import Images


# Trainers ------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Batch:
    """`images`: float N x C x H x W in [-1, 1]. `labels`: int64 N x ..., or None where absent or hidden.

    `extra`: the data set's further tensors, N rows each.
    """

    images: Tensor
    labels: Tensor | None = None
    extra: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Role:
    """One stream of images that a trainer reads, such as `train`, or `source` and `target`.

    `labels`: 'required' (data without labels is an error), 'optional' (given where they exist) or 'hidden'
    (never given; and no checkpoint is picked by a score that was computed from them).
    """

    name: str
    labels: Literal["required", "optional", "hidden"] = "optional"


class Progress:
    """Where training stands: `step` counts from 0 to `total` - 1.

    `at(schedule)` is the value of a schedule now. `total_was_read` says whether anything else asked for the
    length. A training that never does, and whose schedules do not change, can be made longer. It is then the
    longer one, bit for bit.
    """

    def __init__(self, step: int, total: int, fraction: float | None = None) -> None:
        self.step, self._total, self.total_was_read = step, total, False
        self._fraction = step / total if fraction is None else fraction

    @property
    def total(self) -> int:
        self.total_was_read = True
        return self._total

    @property
    def fraction(self) -> float:
        """Training progress p in [0, 1)."""
        self.total_was_read = True
        return self._fraction

    def at(self, schedule: Schedule) -> float:
        """The schedule's multiplier at this step."""
        return schedule(self._fraction)

    def during(self, start: float, end: float) -> Progress:
        """The progress within a part of the training, whose fraction is 0 at `start` and 1 at `end`."""
        if (start, end) == (0, 1):
            return self
        self.total_was_read = True  # where a part begins and ends depends on the length
        return Progress(self.step, self._total, (self._fraction - start) / (end - start))


class Schedule(Protocol):
    """A multiplier over training progress, so that it resumes by itself."""

    def __call__(self, p: float) -> float:
        """The multiplier at progress p in [0, 1)."""
        ...


class Trainer(Protocol):
    """One training method. It owns networks, optimizers and losses; the engine owns everything else.

    Constructed with its options and with the `ImageSpec` of each of its roles, by name.
    """

    @property
    def roles(self) -> tuple[Role, ...]:
        """What it reads; an attribute of the class."""
        ...

    def setup(self, fabric: Fabric) -> None:
        """Hand networks and optimizers to Fabric (device, precision, memory layout, compilation)."""

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        """One optimization step on one batch a role. Returns scalar tensors to log, never Python floats."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything that a bit-exact resume needs (the engine keeps the random generators)."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class OptimizerFactory(Protocol):
    """Makes an optimizer: a class of torch.optim, or a function that returns one."""

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer: ...


# Data ----------------------------------------------------------------------------------------------


class ProgressBar(Protocol):
    """A bar for long preparation work; a context manager."""

    def __enter__(self) -> ProgressBar: ...
    def __exit__(self, *exc: object) -> None: ...
    def advance(self, amount: int = 1) -> None: ...


@dataclass(frozen=True)
class DataContext:
    """Where a data set may read and write. `root` is the user's data root (never written to), or None.

    `bases` are the folders that relative paths are relative to, the likeliest first; where there are none,
    the working directory. With `moved` set, data of an earlier run are looked for, perhaps in a new place.
    """

    root: Path | None
    cache: Path
    track: Callable[[str, int], ProgressBar]
    bases: tuple[Path, ...] = ()
    moved: bool = False

    def places(self, path: str | Path) -> list[Path]:
        """Where a path of a recipe may lead: from the bases, then below the data root.

        Of moved data the end of the path is looked for below the root, as much of it as is there.
        """
        asked = Path(path).expanduser()
        bases = self.bases or (Path(),)
        found = [asked] if asked.is_absolute() else [base / asked for base in bases]
        if self.root and not asked.is_absolute():
            found.append(self.root / asked)
        if self.root and self.moved:
            parts = asked.parts[1:] if asked.is_absolute() else asked.parts
            found += [self.root.joinpath(*parts[i:]) for i in range(len(parts))]
        return list(dict.fromkeys(found))


class Dataset(Protocol):
    """A source of images. `prepare` runs once before any `split`."""

    def prepare(self, context: DataContext) -> None:
        """Find, download, verify and decode what is needed. Raises `UserError` with the way out."""

    def split(self, name: str) -> Images:
        """The images of one split ('train' or 'test'; a data set may have more)."""
        ...


class Transform(Protocol):
    """Batched preprocessing or augmentation, applied on the device.

    Those that are `random` are left out of evaluation. All randomness must come from `generator`, which is a
    function of (seed, role, step).
    """

    @property
    def random(self) -> bool: ...

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor: ...


# Evaluators ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """Rows under columns: printed, and kept in results.json and metrics.jsonl."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | int]]


@dataclass(frozen=True, eq=False)
class Figure:
    """A picture: uint8 H x W x 3, or T x H x W x 3 for an animation.

    `caption` says in a sentence what there is to see. `data` is what a plot shows (points, curves, counts):
    numbers, texts, arrays, and lists or mappings of them. They are kept beside the picture as JSON, so that
    it can be drawn again.
    """

    array: np.ndarray
    caption: str = ""
    data: Mapping[str, Any] | None = None


Better = Literal["max", "min"]
"""Whether more or less of a score is better."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What an evaluator found.

    `figures` are `Figure`s; a bare array is one without words. `headline` names the scalars that belong in
    the table of an experiment. `protocol` is all that must be equal for two scalars to be comparable: splits,
    counts, the weights of networks, resizing. `protocols` adds what is so for single scalars, by their names.
    `better` says of a scalar whether more of it is better, 'max', or less, 'min'.
    """

    scalars: Mapping[str, float] = field(default_factory=dict)
    figures: Mapping[str, Figure | np.ndarray] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    headline: tuple[str, ...] = ()
    protocol: Mapping[str, Any] = field(default_factory=dict)
    protocols: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    better: Mapping[str, Better] = field(default_factory=dict)


class EvaluationData(Protocol):
    """One split of one role as an evaluator sees it.

    Reading `labels` is noted, so that no checkpoint is picked by labels that the trainer must not know.
    """

    @property
    def role(self) -> str: ...

    @property
    def split(self) -> str: ...

    @property
    def spec(self) -> ImageSpec: ...

    @property
    def labels(self) -> Tensor:
        """int64 N on the CPU. Raises `UserError` where the data has none."""
        ...

    @property
    def labeled(self) -> bool: ...

    @property
    def digest(self) -> str:
        """A hash of the images and labels as stored."""
        ...

    @property
    def dataset(self) -> str:
        """The name of the data set, for people."""
        ...

    def batches(self, size: int = 500, limit: int | None = None) -> Iterator[Tensor]:
        """Images in order, float in [-1, 1], on the device, through the deterministic transforms."""
        ...

    def raw(self, limit: int | None = None) -> Tensor:
        """The first `limit` images as stored: uint8 N x C x H x W on the CPU, no transform."""
        ...


RoleData = Mapping[str, Mapping[str, EvaluationData]]
"""`data[role][split]`, loaded when it is first asked for. A split that there is not raises `UserError`."""


@dataclass(frozen=True)
class EvaluationContext:
    """What surrounds an evaluation: `step` of `steps` are done.

    `label` is what the evaluator's results are filed under. `seed` is the same at every step of a run, and
    another for each evaluator; `run_seed` is that of the recipe.
    `folder` is for pictures that the evaluator writes itself. `history` holds the events of metrics.jsonl;
    scores that were computed from hidden labels are left out of it, unless `check` promised to report none.
    `earlier(figure)` finds the PNG files of this evaluator's figure from earlier looks, in their order.
    """

    label: str
    step: int
    steps: int
    seed: int
    run_seed: int
    run: Path
    folder: Path
    cache: Path
    history: Sequence[Mapping[str, Any]]
    device: torch.device
    earlier: Callable[[str], list[Path]]


class Evaluator(Protocol):
    """Looks at a trained model and says something about it.

    It is made once for all evaluations, of several runs even, so it keeps nothing from one to the next.
    """

    @property
    def needs(self) -> tuple[type, ...]:
        """The capabilities that it asks of a trainer; an attribute of the class."""
        ...

    def evaluate(self, trainer: Any, data: RoleData, context: EvaluationContext) -> Evaluation:
        """The engine has put the trainer into evaluation mode, without gradients."""
        ...


@runtime_checkable
class Checks(Protocol):
    """An evaluator that can say before the training what it will report, and what it cannot do."""

    def check(self, trainer: Any, data: RoleData) -> Mapping[str, Collection[str]] | None:
        """The scalars that it will report, each with the roles whose labels it is computed from.

        None where it cannot know all of them; an empty mapping promises to report no scalar. Called with a
        trainer that has learned nothing, and with data whose content cannot be read. Raises `UserError` for
        roles, splits, classes or counts that it could not evaluate.
        """
        ...


@runtime_checkable
class Prepares(Protocol):
    """An evaluator that must fetch or make something first, such as the weights of a network."""

    def prepare(self, context: DataContext) -> None:
        """Called once, before any training. Raises `UserError` with the way out."""


class Metric(Protocol):
    """A running score of generated images, or of predictions; every torchmetrics metric is one.

    An attribute `reads` says what `update` is given; metrics of torchmetrics need not have it:

    * 'features': `Features` of an extractor; a parameter `real` tells generated from real images;
    * 'vectors': the same as a tensor N x d;
    * 'images': uint8 N x C x H x W, or pairs of images;
    * 'classes': probabilities N x K and labels N.

    `compute` returns a number, several, or numbers by name.
    """

    def update(self, *args: Any, **kwargs: Any) -> None: ...
    def compute(self) -> Any: ...
    def reset(self) -> None: ...


# Runs ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RunInfo:
    """One run: a recipe's variant with one seed. `index` of `count` is its place in its experiment.

    `options` is its resolved recipe, as `recipe.toml` in its folder holds it. `now()` is the step that it is
    at, for whoever shows it between two logs; None where it is not going on.
    """

    folder: Path
    recipe: str
    variant: str
    seed: int
    steps: int
    batch_size: int
    index: int = 0
    count: int = 1
    options: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    now: Callable[[], int] | None = field(default=None, repr=False, compare=False)

    @property
    def label(self) -> str:
        return run_label(self.variant, self.seed)


def run_label(variant: str, seed: int) -> str:
    """What distinguishes a run within its experiment, such as 'dann, seed 0'."""
    return ", ".join(filter(None, [variant, f"seed {seed}"]))


class Observer:
    """Watches one run: a component of kind `observer`, named by `observers` in `[run]`.

    A class of this kind is made for each run, and defines those of these methods that it wants. One that
    raises is left out from there on, with a warning; it cannot end a training, and what it is told are copies
    of its own. Wrong options are a `UserError` of its constructor, which ends the run before it begins.
    """

    def run_started(self, run: RunInfo, step: int) -> None:
        """A run starts at `step` (0, or the step it resumes from); its folder exists."""

    def step_logged(self, run: RunInfo, step: int, scalars: Mapping[str, float]) -> None:
        """`step` steps are done; `scalars` are the means since the last log."""

    def evaluated(self, run: RunInfo, step: int, name: str, evaluation: Evaluation) -> None:
        """The evaluator `name` has run after `step` steps."""

    def health(self, run: RunInfo, step: int, message: str) -> None:
        """Something looks wrong after `step` steps; `message` says what and the usual remedy."""

    def checkpoint_saved(self, run: RunInfo, step: int, path: Path) -> None:
        """A checkpoint of `step` steps is safely on disk; the training may be some steps further."""

    def run_finished(self, run: RunInfo, status: str, results: Mapping[str, Any]) -> None:
        """The run ended: `status` is 'finished', 'interrupted' or 'failed'."""


class Job(Protocol):
    """A run of an experiment that has not come to its end, for a launcher."""

    @property
    def label(self) -> str: ...

    @property
    def folder(self) -> Path: ...

    def command(self) -> list[str]:
        """The words after `lab` that bring the run to its end in a process of its own, here or on another
        machine that has this folder."""
        ...

    def relay(self, text: str) -> None:
        """Pass on a line that such a process has said."""

    def execute(self) -> None:
        """The same in this process. Raises `LabError` where it fails."""
        ...

    def failure(self) -> Exception | None:
        """Why a run that some process was to bring to its end has not come to it; None if it has."""
        ...


class Launcher(Protocol):
    """Brings the runs of an experiment to their ends: a component of kind `launcher`."""

    def launch(self, jobs: Iterable[Job], say: Callable[[str], None]) -> Mapping[str, Exception]:
        """Raises `InterruptedRunError` after a signal, when every run is saved. Returns failures by label.

        `lab run` gives a list. The jobs of a sweep come to be while others are under way: each is to be taken
        when there is room for it, and a job that has ended in another process asked for its `failure`.
        """
        ...
