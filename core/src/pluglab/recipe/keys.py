"""What a recipe can be told: its top level, `[run]` and `[select]`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from pluglab.components import Component, Options, Reference, named
from pluglab.components import table as option_table


def _as_text(value: Any) -> Any:
    return str(value) if type(value) is int else value


class Machine(Options):
    """`[run]`: what belongs to the machine, not to the experiment; it does not change a run's identity.

    `lab.toml` beside the recipe, or in the home folder, holds defaults of it for one machine.
    """

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes a GPU if there is one."""
    devices: int = Field(1, ge=1)
    """How many devices; `torchrun` starts several processes."""
    precision: Annotated[Literal["auto", "32", "bf16", "fp16"], BeforeValidator(_as_text)] = "auto"
    """Arithmetic of the networks; auto takes bf16 where the hardware computes it natively, else 32. fp16,
    with scaled losses, is for GPUs without bf16."""
    channels_last: bool | Literal["auto"] = "auto"
    """Memory layout of images and weights; auto takes channels_last where convolutions prefer it."""
    compile: bool = False
    """Compile the networks with torch.compile: slower to start, faster after some hundred steps."""
    threads: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """CPU threads; auto takes torch's choice. Bit-exact repetition needs the same number."""
    deterministic: bool = False
    """Ask torch for deterministic algorithms only (a GPU gets slower; the CPU is deterministic anyway)."""
    keep_every: int | None = Field(None, ge=1)
    """Keep the checkpoint of every N-th step, besides the newest two and the selected one."""
    gradient_norms: bool = False
    """Log the norm of each optimizer's gradient, before any clipping, as `gradient_norm/<optimizer>`."""
    evaluate_in: Literal["training", "process"] = "training"
    """Where evaluators run: in the training's own process, or each look in one of its own, so that a crash of
    an evaluator in native code cannot end the training."""
    observers: list[Annotated[Component, Reference("observer")]] = named(["console", "tensorboard"])
    """What watches each run."""
    launcher: Annotated[Component, Reference("launcher")] = named("in_turn")
    """What brings the runs of an experiment to their ends; `--jobs N` is { name = "processes", jobs = N }."""


class Selection(Options):
    """`[select]`: which checkpoint's scores are reported. Without it, the last step's are."""

    metric: str
    """A scalar that an evaluator reports, such as 'validators/entropy'."""
    mode: Literal["max", "min"] = "max"
    """Whether more or less of it is better."""
    allow_hidden_labels: bool = False
    """Allow a metric that was computed from labels which the trainer may not see. The row is then marked
    'oracle' wherever it is printed."""
    oracle: str | None = None
    """A scalar, such as 'accuracy/target'. Its largest value over all looks of the run is shown beside the
    reported one, as 'oracle <scalar>': what picking by it would have reported, hidden labels or not."""
    patience: int | None = Field(None, ge=1)
    """Stop the training early, when the metric has not improved for this many looks."""


class Reported(Options):
    """`[[reported]]`: what others have found, to stand beside the results of a report."""

    name: str
    """Who, or which method."""
    scores: dict[str, float] = Field(min_length=1)
    """Scalars as the evaluators call them, such as { "accuracy/target" = 62.28 }."""
    source: str = ""
    """Where it is written."""


class RecipeOptions(Options):
    """The top level of a recipe."""

    title: str = ""
    """Name of the experiment and of its folder; the file's name by default."""
    seeds: list[int] = Field([0], min_length=1)
    """One run a seed."""
    steps: int | None = Field(None, ge=1)
    """Optimization steps; or give `epochs`."""
    epochs: float | None = Field(None, gt=0)
    """Passes over the first role's training images, translated to steps."""
    batch_size: int = Field(64, ge=1)
    """Images a step and role, over all devices."""
    gradient_accumulation_steps: int = Field(1, ge=1)
    """Parts that a batch is computed in, one by one, to save memory: one step down the mean gradient."""
    max_grad_norm: float | None = Field(None, gt=0)
    """Largest norm of the gradient of each optimizer's parameters; a longer one is scaled down to it."""
    init: str | None = None
    """Weights to start from: RUN, RUN@STEP, or a file (a `state_dict` or safetensors). What fits by name and
    shape is taken; everything else starts as usual."""
    log_every: int = Field(50, ge=1)
    """Steps between two logs of the losses."""
    checkpoint_every: int = Field(500, ge=1)
    """Steps between two checkpoints; the last step always has one."""
    trainer: Annotated[Component, Reference("trainer")]
    """The method: a name, or a table with a `name` and options; `lab list trainers` shows what there is."""
    data: dict[str, Any]
    """One table a role, [data.ROLE]: a dataset's `name` and options, and `transforms` of its own."""
    transforms: list[Annotated[Component, Reference("transform")]] = []
    """Preprocessing and augmentation of every role that does not list its own."""
    evaluate: list[Any] = []
    """Evaluators, each a name or a table with `name`, its options, `every` (steps; else at the end), and
    `as` (what its results are filed under)."""
    select: Selection | None = None
    """Which checkpoint's scores are reported."""
    axes: dict[str, str] = {}
    """What this variant is in each respect, such as its scenario and its method: words by which `lab compare`
    turns a table. A `[matrix]` says them itself."""
    table: list[str] = []
    """Columns of the experiment's table; the evaluators' headline scalars by default."""
    reported: list[Reported] = []
    """What others have found, `[[reported]]` with `name`, `scores` and `source`: rows that `lab report` shows
    beside the results. No training depends on it."""
    run: Machine = option_table()
    """The machine: device, precision, threads; what watches the runs, and where they run."""

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("should not hold the same seed twice")
        return seeds

    @field_validator("gradient_accumulation_steps")
    @classmethod
    def _whole_parts(cls, parts: int, given: ValidationInfo) -> int:
        if given.data.get("batch_size", parts) % parts:
            raise ValueError(f"should divide the batch_size, {given.data['batch_size']}")
        return parts
