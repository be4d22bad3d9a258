"""The hooks that a plugin may implement. A function of that name in the plugin's module is enough."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import typer

    from pluglab.plugins.registry import Registrar
    from pluglab.protocols import Evaluation, RunInfo

hookspec = pluggy.HookspecMarker("pluglab")


@hookspec
def lab_register(registry: Registrar) -> None:
    """Register components under names: `registry.add("trainer", "dann", "package.module:DANN")`, and declare
    kinds of your own: `registry.kind("encoder", protocol="package.module:Encoder", summary="...")`.

    Called once at start-up, so import nothing heavy: name targets as strings.
    """


@hookspec
def lab_commands(app: typer.Typer) -> None:
    """Add commands to `lab`. A plugin that takes the name of another command is left out, with a warning."""


@hookspec
def lab_run_started(run: RunInfo, step: int) -> None:
    """A run starts at `step` (0, or the step it resumes from); its folder exists."""


@hookspec
def lab_step_logged(run: RunInfo, step: int, scalars: Mapping[str, float]) -> None:
    """`step` steps are done; `scalars` are the means since the last log."""


@hookspec
def lab_evaluated(run: RunInfo, step: int, name: str, evaluation: Evaluation) -> None:
    """The evaluator `name` has run after `step` steps; its pictures are in `run.folder / "figures"`."""


@hookspec
def lab_health(run: RunInfo, step: int, message: str) -> None:
    """Something looks wrong after `step` steps; `message` says what and the usual remedy."""


@hookspec
def lab_checkpoint_saved(run: RunInfo, step: int, path: Path) -> None:
    """A checkpoint of `step` steps is safely on disk; the training may be some steps further."""


@hookspec
def lab_run_finished(run: RunInfo, status: str, results: Mapping[str, Any]) -> None:
    """The run ended: `status` is 'finished', 'interrupted' or 'failed'."""
