"""Trained runs looked at again: any evaluator, on any kept checkpoint, joined to the run's results."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from pluglab.engine.engine import Engine, check_identity
from pluglab.engine.evaluation import Outcome, together
from pluglab.errors import RunError, UserError
from pluglab.experiments.experiment import Experiment
from pluglab.experiments.new_engine import new_engine
from pluglab.experiments.session import Session
from pluglab.experiments.summary import write_results
from pluglab.observers.console import evaluation_line
from pluglab.recipe.recipe import EvaluatorUse, free_label
from pluglab.storage.run_folder import RunFolder

Steps = int | Literal["all"] | None
"""A step, all that there is a checkpoint of, or the reported one."""


def evaluate_afterwards(
    experiment: Experiment, session: Session, steps: Steps
) -> dict[str, dict[int, list[Outcome]]]:
    """Run the evaluators of every run on its checkpoints. Returns what they found, by run and by step.

    It joins the results of the run, where those of the same evaluator with the same options are replaced,
    and all others stay. The history of the training stays as it is. Of a run that has not come to its end
    results.json has what was found at single steps only.
    """
    found = {}
    for index, run in enumerate(experiment.runs):
        with run.held():
            found[run.path.name] = _evaluate_run(experiment, index, session, steps)
    if any(run.results() for run in experiment.runs):
        write_results(experiment)
    return found


def _evaluate_run(
    experiment: Experiment, index: int, session: Session, steps: Steps
) -> dict[int, list[Outcome]]:
    run, item = experiment.runs[index], experiment.prepared[index]
    uses = relabeled(item.recipe.evaluators, _known(run))
    item.promises = {
        use.label: item.promises.get(before.label)
        for use, before in zip(uses, item.recipe.evaluators, strict=True)
    }
    item.recipe = replace(item.recipe, evaluators=uses)
    engine = new_engine(experiment, index, session)
    reported = run.reported_step()
    found: dict[int, list[Outcome]] = {}
    try:
        for step in _steps(engine, steps, reported):
            _, state = engine.checkpoints.find(step)
            check_identity(state, run.identities(), run.path)
            engine.load_state_dict(state)
            for outcome in _looks(engine, run, session, reported):
                found.setdefault(engine.step, []).append(outcome)
                if session.is_main_process:  # at once: an evaluator after it may fail
                    _join(run, outcome)
    except UserError as error:
        error.exit_code = RunError.exit_code if found else error.exit_code
        raise
    finally:
        if found and session.is_main_process:
            run.update(data=item.data.facts(), **_accepted(run, item.data.recorded.changes))
    return found


def _steps(engine: Engine, steps: Steps, reported: int | None) -> Sequence[int | None]:
    if steps != "all":
        return [reported if steps is None else steps]
    known = engine.checkpoints.steps()
    if not known:
        raise UserError(f"{engine.info.folder} has no checkpoint", help=["`lab resume RUN` goes on with it"])
    return known


def _looks(engine: Engine, run: RunFolder, session: Session, reported: int | None) -> Iterator[Outcome]:
    """Every evaluator on the trainer as it is. Pictures of the reported step lie with its others."""
    folder = run.figures(engine.step, afterwards=True)
    if engine.step == reported:
        folder = run.figures(selected=run.figures(selected=True).is_dir())
    with engine.look():
        for use in engine.recipe.evaluators:
            outcome = engine.evaluate(use, folder, afterwards=True)
            session.log(evaluation_line(engine.step, use.label, outcome.evaluation))
            yield outcome


def _known(run: RunFolder) -> dict[str, Any]:
    """The evaluators that have looked at any step of a run, by their labels."""
    steps = [*run.results_of_steps().values(), run.results()]
    return {label: one["evaluator"] for found in steps for label, one in found.get("evaluations", {}).items()}


def relabeled(uses: Sequence[EvaluatorUse], known: Mapping[str, Any]) -> tuple[EvaluatorUse, ...]:
    """The evaluators under labels that replace nothing but what the same evaluator found before.

    `known`: the options of the evaluators that have found something, by their labels.
    """
    found: list[EvaluatorUse] = []
    for use in uses:
        options, taken = use.component.dump(), {one.label for one in found}
        same = [label for label, before in known.items() if before == options and label not in taken]
        label = same[0] if same else _free(use.label, {*known, *taken})
        found.append(replace(use, label=use.label if use.label in same else label))
    return tuple(found)


def _free(label: str, taken: Collection[str]) -> str:
    return label if label not in taken else free_label(re.sub(r"_\d+$", "", label), taken)


def _join(run: RunFolder, outcome: Outcome) -> None:
    """Add what was found to results.json: to the reported step's, or under `steps`."""
    results, steps, step = run.results(), run.results_of_steps(), outcome.step
    if results.get("step") == step:
        results = together([outcome], results)
    else:
        steps = {**steps, str(step): together([outcome], steps.get(str(step)))}
    run.write_results(results, steps)


def _accepted(run: RunFolder, changes: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """What run.json says of changed data that were taken."""
    return {"data_changes": [*run.read().get("data_changes", []), *changes]} if changes else {}
