"""Runs gone on with under changed options: in their own folders, or in new ones that record their parents."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pluglab.components import Component
from pluglab.engine.engine import Engine
from pluglab.engine.selection import Selector
from pluglab.errors import UserError
from pluglab.experiments.experiment import (
    Changes,
    Experiment,
    changed_options,
    hashes_of,
    lay_out,
    reopen,
    reread,
    run_state,
)
from pluglab.experiments.new_engine import new_engine
from pluglab.experiments.prepare import Prepared, prepare
from pluglab.experiments.session import Session
from pluglab.recipe.recipe import Recipe, together
from pluglab.storage.checkpoints import Checkpoints
from pluglab.storage.run_folder import ExperimentFolder, RunFolder, run_folders, write_recipe

EXTENDED = "{parent} extended from step {step}; `lab extend` of that run repeats it"


@dataclass(frozen=True)
class Continuation:
    """How a run goes on from a checkpoint under other options.

    `reasons` say why the result is not, bit for bit, that of a run which had the options from the start;
    there are none where it is. `at_end`: whether the checkpoint is of the run's last step, where the
    evaluators of the training have not looked.
    """

    before: Recipe
    state: Mapping[str, Any]
    reasons: tuple[str, ...]
    at_end: bool

    @property
    def step(self) -> int:
        step: int = self.state["step"]
        return step

    def start(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """What the run's identity holds of it: where it is the run that had the options all along, as
        `before`."""
        return {"parent": self.state["identity"], "step": self.step} if self.reasons else dict(before)


def continuation(run: RunFolder, before: Recipe, after: Prepared, step: int | None) -> Continuation:
    """From the checkpoint of `step`, or the newest. Raises `UserError` where nothing is left to train."""
    file, state = Checkpoints(run.checkpoints).find(step)
    total, facts = after.data.total_steps(), run.read()
    if file.step >= total:
        help = [f"for example --set steps={2 * max(file.step, 1)}"]
        raise UserError(f"{run.path} is at step {file.step}, and the training has {total}", help=help)
    if before.options.init != after.recipe.options.init:
        help = ["`lab run RECIPE --init ...` starts anew from other weights"]
        raise UserError(f"{run.path} is at step {file.step}, and `init` counts at step 0", help=help)
    _check_not_over(run, file.step, state, after)
    old = facts.get("steps", total)
    reasons = tuple(_reasons(state, before, after, _other_images(run, after), (old, total)))
    return Continuation(before, state, reasons, at_end=file.step == old)


def _check_not_over(run: RunFolder, step: int, state: Mapping[str, Any], after: Prepared) -> None:
    """Raises `UserError` for a run that was stopped early, and would be again."""
    selector = Selector(after.recipe, after.data.hidden(), after.promises)
    selector.load_state_dict(state["selector"])
    if selector.exhausted:
        help = [f"for example --set select.patience={2 * selector.looks_since}"]
        raise UserError(f"{run.path} was stopped early at step {step}, and would be again", help=help)


def _reasons(
    state: Mapping[str, Any],
    before: Recipe,
    after: Prepared,
    roles: Sequence[str],
    lengths: tuple[int, int],
) -> Iterator[str]:
    done, (old, new) = state["step"], lengths
    changed = [key for key in changed_options(before, after.recipe) if key not in ("steps", "epochs")]
    for key in changed:
        yield f"{key} has its new value from step {done} on"
    for role in roles:
        yield f"the images of '{role}' are others from step {done} on"
    if old == new:
        return
    span = f"in the first {done} steps it was a function of {old} steps, not {new}"
    for name, one in schedules_of(after.recipe.options.trainer):
        if not _alike(one, done, old, new):
            yield f"{name} follows the share of the training that is done: {span}"
    if state["total_was_read"]:
        name = after.recipe.options.trainer.name
        yield f"trainer '{name}' asks how long the training is: {span}"


def _other_images(run: RunFolder, item: Prepared) -> list[str]:
    """The roles whose training images are not those that the run has been trained on."""
    changes = [*run.read().get("data_changes", []), *item.data.recorded.changes]
    trained_on = {role.name for role in item.data.roles}
    roles = (one["role"] for one in changes if one["split"] == "train" and one["role"] in trained_on)
    return list(dict.fromkeys(roles))


def schedules_of(component: Component, path: str = "trainer") -> Iterator[tuple[str, Component]]:
    """The schedules in the options of a component, with their dotted keys."""
    for key, value in _members(component.config):
        here = f"{path}.{key}"
        for item in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(item, Component) and item.kind == "schedule":
                yield here, item
            elif isinstance(item, Component):
                yield from schedules_of(item, here)


def _members(config: BaseModel) -> Iterator[tuple[str, Any]]:
    for key in type(config).model_fields:
        value = getattr(config, key)
        if isinstance(value, BaseModel):
            yield from ((f"{key}.{inner}", item) for inner, item in _members(value))
        else:
            yield key, value


def _alike(component: Component, done: int, old: int, new: int) -> bool:
    """Whether the schedule had the same values in the steps that are done, whatever the length."""
    schedule = component.build()
    return all(schedule(step / old) == schedule(step / new) for step in range(done))


# In a new folder -------------------------------------------------------------------------------------


def extend(folder: Path, changes: Changes, step: int | None, root: Path, session: Session) -> Experiment:
    """Lay out runs that go on from the checkpoints of those in `folder`, each with a checkpoint of its own to
    begin with. Raises `UserError` where they would not differ, or cannot go on."""
    parents = run_folders(folder)
    pairs = [reread(run, session.plugins.registry, changes) for run in parents]
    if not changes.sets:
        help = ["for example --set steps=20000, or --set trainer.optimizer.lr=1e-4"]
        raise UserError("nothing is to be changed", help=[*help, "`lab resume RUN` goes on as before"])
    recipes = [after for _, after in pairs]
    recorded = [hashes_of(run, accept=changes.accept_data) for run in parents]
    starts = [run.read()["start"] for run in parents]
    session.launch(recipes[0].options.run)
    prepared = prepare(recipes, session, recorded, starts)
    plans = [
        continuation(run, before, item, step)
        for run, (before, _), item in zip(parents, pairs, prepared, strict=True)
    ]
    for plan, item in zip(plans, prepared, strict=True):
        item.start = plan.start(item.start)
    words = EXTENDED.format(parent=folder, step=plans[0].step)
    facts = [_parent(run, plan) for run, plan in zip(parents, plans, strict=True)]
    new = lay_out(prepared, root, session, whole=words, words=words.replace("{", "{{"), more=facts)
    experiment = Experiment(new, run_folders(new), prepared)
    try:
        _begin(experiment, parents, plans, session)
    except UserError:
        if session.is_main_process:
            shutil.rmtree(new)
        raise
    return experiment


def _parent(run: RunFolder, plan: Continuation) -> dict[str, Any]:
    parent = {"run": str(run.path.resolve()), "identity": plan.state["identity"], "step": plan.step}
    return {"parent": {**parent, "exact": not plan.reasons, "reasons": list(plan.reasons)}}


def _begin(
    experiment: Experiment, parents: Sequence[RunFolder], plans: Sequence[Continuation], session: Session
) -> None:
    """Write the first checkpoint of each run, from that of its parent."""
    for index, (parent, plan) in enumerate(zip(parents, plans, strict=True)):
        engine = new_engine(experiment, index, session)
        engine.go_on_from(plan.state, plan.before)
        _log(plan, experiment.prepared[index].label, session)
        if session.is_main_process:
            best: int | None = engine.selector.best.get("step")
            experiment.runs[index].inherit(parent, plan.step, best)
        _save(engine, plan)


def _save(engine: Engine, plan: Continuation) -> None:
    """Where the run ended before, its evaluators look first, as they would have under way."""
    if plan.at_end:
        engine.evaluate_due()
    engine.save()


def _log(plan: Continuation, label: str, session: Session) -> None:
    session.log(f"{label}: goes on after step {plan.step}")
    for reason in plan.reasons:
        session.log(f"  not the run that had these options from the start: {reason}")
    if not plan.reasons:
        session.log("  bit for bit the run that had these options from the start")


# In the same folder ----------------------------------------------------------------------------------


def resume_with(folder: Path, changes: Changes, session: Session) -> Experiment:
    """The experiment in `folder`, its runs to go on under changed options from their newest checkpoints.

    What is changed stays changed: recipe.toml and run.json have it from here on. Raises `UserError`.
    """
    runs = run_folders(folder)
    pairs = [reread(run, session.plugins.registry, changes) for run in runs]
    experiment = reopen(folder, session, changes, training=True)
    changed = [i for i, (before, _) in enumerate(pairs) if _is_changed(experiment, i, before)]
    ended = [i for i in changed if _has_ended(runs[i], experiment.prepared[i])]
    for index in [i for i in changed if i not in ended] or changed:
        with runs[index].held():
            _change(experiment, index, pairs[index][0], changes, session)
    for index in [i for i in range(len(runs)) if i not in changed]:
        _keep(runs[index], pairs[index], changes, session)
    if changed and len(runs) > 1 and session.is_main_process:
        recipes = [item.recipe for item in experiment.prepared]
        write_recipe(ExperimentFolder(folder).recipe, together(recipes), f"changed: {' '.join(changes.sets)}")
    return experiment


def _is_changed(experiment: Experiment, index: int, before: Recipe) -> bool:
    """Whether what is left of a run's training is other than it was recorded, by options or data; or there
    is something left again of one that was stopped early."""
    run, item = experiment.runs[index], experiment.prepared[index]
    if before.training_digest() != item.recipe.training_digest():
        return True
    if run.read()["status"] == "finished":
        return "stopped_early" in run.results() and before.options.select != item.recipe.options.select
    return bool(_other_images(run, item))


def _has_ended(run: RunFolder, item: Prepared) -> bool:
    """Whether nothing is left to train of a run."""
    newest = max(Checkpoints(run.checkpoints).steps(), default=0)
    return newest >= item.data.total_steps() and bool(run.results())


def _change(experiment: Experiment, index: int, before: Recipe, changes: Changes, session: Session) -> None:
    """Everything is checked before the first byte is written."""
    run, item = experiment.runs[index], experiment.prepared[index]
    state = run.read()
    if Checkpoints(run.checkpoints).files():
        plan = continuation(run, before, item, None)
        engine = new_engine(experiment, index, session)
        engine.go_on_from(plan.state, plan.before)
        item.start = plan.start(item.start)
        _log(plan, item.label, session)
        engine.identity = item.identity()["identity"]
        if session.is_main_process:
            run.set_results_aside()
        _save(engine, plan)
        note: dict[str, Any] = {"step": plan.step, "reasons": list(plan.reasons)}
    else:
        note = {"step": 0, "reasons": []}
    note["data"] = [*state.get("data_changes", []), *item.data.recorded.changes]
    if session.is_main_process:
        kept = {key: state[key] for key in ("data_root", "working_directory", "folder")}
        new = run_state(item, session, run.path) | kept
        _record(run, (before, item.recipe), changes, note)
        run.update(**new, data_changes=[], status="interrupted")


def _keep(run: RunFolder, pair: tuple[Recipe, Recipe], changes: Changes, session: Session) -> None:
    """Record changes that the training does not depend on, of a run that has something left to do."""
    state = run.read()
    if session.is_main_process and state["status"] != "finished" and _table(*pair) != pair[0].to_dict():
        newest = max(Checkpoints(run.checkpoints).steps(), default=0)
        _record(run, pair, changes, {"step": newest, "reasons": [], "data": []})


def _record(run: RunFolder, pair: tuple[Recipe, Recipe], changes: Changes, note: Mapping[str, Any]) -> None:
    """`directory` is where relative paths of the changes begin."""
    state = run.read()
    sets = [one for one in changes.sets if not one.startswith("run.launcher")]
    given = {"set": sets, "identity": state["identity"], "directory": str(Path.cwd())}
    write_recipe(run.recipe, _table(*pair), f"changed: {' '.join(sets)}")
    run.update(changes=[*state.get("changes", []), {**note, **given}])


def _table(before: Recipe, after: Recipe) -> dict[str, Any]:
    """The changed recipe; what launches this session has no place in it."""
    table = after.to_dict()
    table["run"]["launcher"] = before.to_dict()["run"]["launcher"]
    return table
