"""Run folders with damaged files, made whole from the files that are not.

| damaged | made anew from |
|---|---|
| recipe.toml | the newest checkpoint, which holds the recipe |
| run.json | the recipe, the data, and the newest checkpoint, whose identity must be theirs |
| results.json | set aside; `lab resume` evaluates the end of the training again |
| metrics.jsonl | its other lines |
| experiment.json | the runs in the folder |
| tags.json, architecture.json | set aside |

What was there stays beside it, under its name with `.damaged` at the end.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pluglab
from pluglab.engine.engine import check_identity
from pluglab.errors import UserError
from pluglab.experiments.experiment import REPEATS, run_state
from pluglab.experiments.prepare import prepare
from pluglab.experiments.session import Session
from pluglab.recipe.recipe import load_recipe
from pluglab.storage.checkpoints import Checkpoints
from pluglab.storage.run_folder import (
    FORMAT,
    ExperimentFolder,
    RunFolder,
    is_experiment,
    read_json,
    write_recipe,
)
from pluglab.storage.shapes import RESULTS, TAGS

SUFFIX = ".damaged"


def repair(folder: Path, session: Session) -> Iterator[str]:
    """What has been repaired, a line each. Raises `UserError` where too little is left."""
    inside = [path for path in sorted(folder.glob("*")) if _was_run(path)]
    if _was_run(folder):
        yield from _repair_run(RunFolder(folder), session)
    elif inside:
        yield from _repair_experiment(ExperimentFolder(folder), inside, session)
    else:
        help = ["give a folder that `lab run` made"]
        raise UserError(f"{folder} has neither a recipe nor checkpoints of a run", help=help)


def _was_run(folder: Path) -> bool:
    """Whether this is, or once was, a run's folder and none of an experiment."""
    run = RunFolder(folder)
    return run.state_file.is_file() or run.history.path.is_file() or run.checkpoints.is_dir()


def _repair_experiment(folder: ExperimentFolder, inside: list[Path], session: Session) -> Iterator[str]:
    for path in inside:
        for line in _repair_run(RunFolder(path), session):
            yield f"{path.name}: {line}"
    try:
        if is_experiment(folder.path):
            folder.runs()
            return
    except UserError:
        _set_aside(folder.file)
    title = RunFolder(inside[0]).read()["recipe"]
    folder.write({"recipe": title, "runs": [path.name for path in inside]})
    yield f"experiment.json: made anew, with the {len(inside)} runs that there are"


def _repair_run(run: RunFolder, session: Session) -> Iterator[str]:
    with run.held():
        newest = Checkpoints(run.checkpoints).latest()
        state: Mapping[str, Any] = newest[1] if newest else {}
        yield from _recipe(run, state)
        yield from _asides(run)
        yield from _state(run, state, session)
        if lost := run.history.drop_damaged():
            yield f"metrics.jsonl: {lost} damaged line{'s' * (lost > 1)} left out"


def _recipe(run: RunFolder, state: Mapping[str, Any]) -> Iterator[str]:
    try:
        tomllib.loads(run.recipe.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        if "recipe" not in state:
            raise UserError(f"{run.recipe} cannot be read, and no checkpoint holds it: {error}") from None
        _set_aside(run.recipe)
        write_recipe(run.recipe, state["recipe"], REPEATS.format(version=pluglab.__version__))
        yield f"recipe.toml: made anew from the checkpoint of step {state['step']}"


def _asides(run: RunFolder) -> Iterator[str]:
    """Files of results and notes that hold no JSON, or JSON of another shape."""
    shapes: dict[Path, Mapping[Any, Any]] = {run.results_file: RESULTS, run.tags_file: TAGS}
    for file in (run.results_file, run.tags_file, run.architecture):
        if file.is_file() and not _is_whole(file, shapes.get(file, {})):
            _set_aside(file)
            yield f"{file.name}: set aside as {file.name}{SUFFIX}"


def _is_whole(file: Path, shape: Mapping[Any, Any]) -> bool:
    try:
        read_json(file, shape)
    except UserError:
        return False
    return True


def _state(run: RunFolder, state: Mapping[str, Any], session: Session) -> Iterator[str]:
    """run.json: made anew, or only no longer finished where there are no results."""
    ended = bool(run.results())
    try:
        facts = run.read()
        if facts["status"] == "finished" and not ended:
            run.update(status="died")
            yield "run.json: not finished any more, as there are no results"
        return
    except UserError:
        pass
    recipe = load_recipe(run.recipe).resolve_all(session.plugins.registry)[0]
    session.launch(recipe.options.run)
    (item,) = prepare([recipe], session, starts=[state["start"]] if "start" in state else None)
    known = item.identity()
    if state:
        check_identity(state, {known["identity"]}, run.path)
    _set_aside(run.state_file)
    step = {"step": state["step"]} if state else {}
    status = "finished" if ended else "died" if state else "pending"
    run.write({"format": FORMAT, "status": status, **run_state(item, session, run.path), **step})
    yield f"run.json: made anew from the recipe and its data; {status}"


def _set_aside(file: Path) -> None:
    if file.exists():
        file.replace(file.with_name(file.name + SUFFIX))
