"""What is asked of optimizers, schedules, metrics, observers and launchers."""

from __future__ import annotations

import contextlib
import io
import math
import tempfile
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pluglab import Evaluation, RunError, scale_lr
from pluglab.conformance import check_failures, place_in
from pluglab.protocols import RunInfo
from pluglab_testing import tiny
from pluglab_testing.checking import Fault, NotDone, check, first_difference, same
from pluglab_testing.subjects import Part

RECIPE = """
steps = 8
batch_size = 4

[trainer]
name = "checked"

[data.train]
name = "checked"
"""
SETTLED = 0.999  # the last progress that is asked for

# Optimizers ------------------------------------------------------------------------------------------------


class _Descent:
    """Two groups of parameters going down a valley."""

    def __init__(self, part: Part) -> None:
        generator = torch.Generator().manual_seed(1)
        self.values = [nn.Parameter(torch.randn(3, 4, generator=generator)) for _ in range(2)]
        self.optimizer: Any = part.built([{"params": [value]} for value in self.values])

    def steps(self, count: int) -> None:
        mode = getattr(self.optimizer, "train", None)
        if callable(mode):
            mode()
        for _ in range(count):
            self.optimizer.zero_grad(set_to_none=True)
            torch.stack([value.square().sum() for value in self.values]).sum().backward()
            self.optimizer.step()

    def now(self) -> list[Tensor]:
        return [value.detach().clone() for value in self.values]


def _length(descent: _Descent) -> float:
    return sum(value.square().sum().item() for value in descent.now())


@check("optimizer", "steps", gates=True)
def goes_down(part: Part) -> None:
    """It moves each group of parameters down the gradient"""
    descent = _Descent(part)
    before, length = descent.now(), _length(descent)
    descent.steps(3)
    for number, value in enumerate(before):
        if same(value, descent.now()[number]):
            raise Fault(
                f"it leaves the {('first', 'second')[number]} group of parameters as it is", where=part.place
            )
    if not all(value.isfinite().all() for value in descent.now()):
        raise Fault("its steps make weights that are not finite", where=part.place)
    if _length(descent) >= length:
        raise Fault("its steps go up a hill whose valley is at zero", where=part.place)


@check("optimizer", "rates")
def follows_schedules(part: Part) -> None:
    """Schedules set its rates: `pluglab.scale_lr`, and a rate of 0 moves nothing"""
    descent = _Descent(part)
    descent.steps(1)
    scale_lr(descent.optimizer, 0.0)
    before = descent.now()
    descent.steps(1)
    if not all(map(same, before, descent.now())):
        help = ["take the rate from group['lr'] at each step"]
        raise Fault("it moves weights though its rate is 0", help=help, where=part.place)


@check("optimizer", "state")
def optimizer_resumes(part: Part) -> None:
    """Six steps are three, saved, loaded and three more"""
    from pluglab_testing.rig import saved

    whole, half, again = _Descent(part), _Descent(part), _Descent(part)
    whole.steps(6)
    half.steps(3)
    state = torch.load(saved(half.optimizer.state_dict()), weights_only=True)
    for value, now in zip(again.values, half.now(), strict=True):
        value.data.copy_(now)
    again.optimizer.load_state_dict(state)
    again.steps(3)
    if not all(map(same, whole.now(), again.now())):
        message = "six steps are not three, saved, loaded and three more"
        raise Fault(message, help=["keep what a step depends on in self.state[parameter]"], where=part.place)


# Schedules -------------------------------------------------------------------------------------------------


@check("schedule", "values")
def schedule_has_values(part: Part) -> None:
    """A finite number at every progress in [0, 1), the same whenever it is asked"""
    schedule = part.built()
    at = place_in(part.target, "__call__")
    points = (0.0, 0.25, 0.5, SETTLED)
    first = [schedule(p) for p in points]
    for p, value in zip(points, first, strict=True):
        if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(float(value)):
            raise Fault(f"at {p} it returns {value!r}: it must be a finite number", where=at)
    again = [schedule(p) for p in reversed(points)][::-1]
    if first != again:
        help = ["a function of p alone is the same after a resume"]
        raise Fault("what it returns depends on what it was asked before", help=help, where=at)


# Metrics -------------------------------------------------------------------------------------------------


@check("metric", "scores")
def metric_scores(part: Part) -> None:
    """`compute` returns numbers, and after `reset` the same again of the same"""
    try:
        from pluglab_metrics.running import RunningMetric
    except ImportError:
        raise NotDone("pluglab-metrics, which feeds metrics, is not installed") from None
    metric = RunningMetric(part.component())
    at = place_in(part.target, "compute")
    scores = []
    for _ in range(2):
        metric.reset()
        _feed(metric)
        scores.append(metric.compute())
    for name, value in scores[0].items():
        if isinstance(value, bool) or not isinstance(value, Real):
            raise Fault(f"compute returns {type(value).__name__} as '{name}': it must be a number", where=at)
    if first_difference(*scores):
        help = ["reset() must forget all that update() has been given"]
        raise Fault(
            "after reset it returns another score of the same",
            help=help,
            where=place_in(part.target, "reset"),
        )


def _feed(metric: Any) -> None:
    """What it reads, as the evaluators give it: of 64 images, real ones and others, of three classes."""
    from pluglab_metrics.extractors.base import Features

    generator = torch.Generator().manual_seed(1)
    real, made = (
        Features(torch.randn(64, 8, generator=generator), torch.randn(64, 3, generator=generator))
        for _ in "ab"
    )
    labels = torch.arange(64) % 3
    logits = torch.randn(64, 3, generator=generator)
    images = [tiny.images((3, 32, 32), split, 64).pixels for split in ("train", "test")]
    if metric.reads == "images" and metric.pairs:
        metric.update_images(*images)
    elif metric.reads == "images":
        for batch, is_real in zip(images, (True, False), strict=True):
            if metric.tells_real or not is_real:
                metric.update_images(batch, real=is_real if metric.tells_real else None)
    elif metric.reads == "classes" and not metric.takes_labels:
        metric.update(*((logits.softmax(1), labels) if metric.pairs else (logits.softmax(1),)))
    elif metric.reads in ("features", "classes"):
        metric.update(real, real=True)
        metric.update(made, real=False, labels=labels)
    elif metric.tells_real:
        metric.update(real.features, real=True)
        metric.update(made.features, real=False)
    else:
        metric.update(*((made.features, real.features) if metric.pairs else (made.features,)))


# Observers -------------------------------------------------------------------------------------------------


@check("observer", "watches")
def watches(part: Part) -> None:
    """It takes all that happens in a run, from its start and from a resume on, and prints on stderr only"""
    # There, too: what it writes beside where it is called from is not for the author's folder.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for first in (0, 4):
            observer = part.built()
            run = RunInfo(Path(folder), "checked", "", 0, 8, 4, options={"steps": 8}, now=lambda: 4)
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                for method, arguments in _events(first, Path(folder)).items():
                    if hasattr(observer, method):
                        getattr(observer, method)(run, **arguments)
            if out.getvalue():
                help = ["stdout is for results: print(..., file=sys.stderr)"]
                raise Fault(f"it prints {out.getvalue().splitlines()[0]!r}", help=help, where=part.place)


def _events(first: int, folder: Path) -> dict[str, dict[str, Any]]:
    evaluation = Evaluation({"score": 1.0}, headline=("score",))
    (folder / "checkpoint.pt").write_bytes(b"")
    (folder / "recipe.toml").write_text(RECIPE)
    return {
        "run_started": {"step": first},
        "step_logged": {"step": 4, "scalars": {"loss": 1.0, "lr/net": 0.1}},
        "evaluated": {"step": 4, "name": "checked", "evaluation": evaluation},
        "health": {"step": 4, "message": "checked"},
        "checkpoint_saved": {"step": 8, "path": folder / "checkpoint.pt"},
        "run_finished": {
            "status": "finished",
            "results": {"step": 8, "scalars": {"score": 1.0}, "headline": ["score"]},
        },
    }


# Launchers -------------------------------------------------------------------------------------------------


@dataclass
class _Job:
    """A run of nothing."""

    label: str
    folder: Path
    fails: bool
    done: list[str] = field(default_factory=list)

    def command(self) -> list[str]:
        return ["no-such-command"] if self.fails else ["--version"]

    def relay(self, text: str) -> None: ...

    def execute(self) -> None:
        self.done.append(self.label)
        if self.fails:
            raise RunError("it was to fail")

    def failure(self) -> Exception | None:
        return RunError("it was to fail") if self.fails else None


@check("launcher", "launches")
def launches(part: Part) -> None:
    """It brings every run to its end, one that fails too, and returns the failures by label"""
    with tempfile.TemporaryDirectory() as folder:
        jobs = [_Job(label, Path(folder), label == "second") for label in ("first", "second", "third")]
        try:
            found = check_failures(part.target, part.built().launch(jobs, lambda text: None))
        except RunError as error:
            help = ["return its failure beside those of the others"]
            where = place_in(part.target, "launch")
            raise Fault("a run that fails ends them all", help=help, where=where) from error
    if set(found) != {"second"}:
        message = (
            f"of three runs the second failed, and launch returns {', '.join(map(repr, found)) or 'none'}"
        )
        raise Fault(message, where=place_in(part.target, "launch"))
