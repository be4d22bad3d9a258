"""Runs evaluators: checks that they fit the trainer, keeps all that they say."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from pluglab.capabilities import can, members_of, words_of
from pluglab.data.evaluation_data import Evaluated, EvaluationSplit
from pluglab.data.run_data import RunData
from pluglab.engine.selection import Promises, Tainted
from pluglab.engine.untouched import evaluating, state_of, unchanged
from pluglab.errors import Problem, RecipeError, RunError, did_you_mean
from pluglab.evaluating import sharing
from pluglab.figures import save_figure
from pluglab.plugins.contracts import ContractError, place_in
from pluglab.plugins.returned import check_evaluation
from pluglab.protocols import Checks, Evaluation, EvaluationContext, Evaluator, Figure, RoleData
from pluglab.recipe.recipe import EvaluatorUse, Recipe, digest_of

# Before the training ---------------------------------------------------------------------------------


def check_fit(recipes: Sequence[Recipe]) -> None:
    """Every role needs data, and every evaluator the capabilities that it asks for.

    Raises `RecipeError` with all that is missing, before anything is loaded.
    """
    problems = [problem for recipe in recipes for problem in (*_missing_roles(recipe), *_misfits(recipe))]
    if problems:
        raise RecipeError(problems)


def _missing_roles(recipe: Recipe) -> Iterator[Problem]:
    trainer = recipe.options.trainer
    for role in trainer.target.roles:
        if role.name not in recipe.data:
            message = f"trainer '{trainer.name}' needs data for the role '{role.name}'"
            there = ", ".join(f"'{name}'" for name in recipe.data) or "none"
            way = f'add [data.{role.name}] with name = "..."; `lab list datasets` shows what there is'
            yield recipe.problem(("data",), message, help=[f"the recipe has data for {there}", way])


def _misfits(recipe: Recipe) -> Iterator[Problem]:
    for index, use in enumerate(recipe.evaluators):
        for wanted in use.component.target.needs:
            if not can(recipe.options.trainer.target, wanted):
                message, way = lacking(recipe, wanted, f"evaluator '{use.component.name}'")
                help = [f"{way}; or leave this evaluator out"]
                yield recipe.problem(("evaluate", index, "name"), message, help=help)


def lacking(recipe: Recipe, wanted: type, who: str) -> tuple[str, str]:
    """A message for a trainer that lacks a capability, and what would give it that."""
    able, name = words_of(wanted), recipe.options.trainer.name
    methods = {member: callable(getattr(wanted, member, None)) for member in members_of(wanted)}
    members = ", ".join(f"{member}()" if method else member for member, method in methods.items())
    in_class = "" if all(methods.values()) else ", in its class or annotated there"
    message = f"{who} needs a trainer that can {able}; '{name}' cannot"
    return message, f"a trainer can {able} if it has {members}{in_class}"


def promises_of(recipe: Recipe, evaluators: Sequence[Evaluator], trainer: object, data: RunData) -> Promises:
    """What the evaluators say they will report. Raises `RecipeError` with all that they could not do."""
    promises: dict[str, Mapping[str, Collection[str]] | None] = {}
    problems: list[Problem] = []
    view = data.evaluation(Evaluated())
    for index, (use, evaluator) in enumerate(zip(recipe.evaluators, evaluators, strict=True)):
        promises[use.label] = None
        if isinstance(evaluator, Checks):
            try:
                with recipe.error_location(("evaluate", index, "name")):
                    promises[use.label] = _promise(evaluator, trainer, view)
            except RecipeError as error:
                problems += error.problems
    if problems:
        raise RecipeError(problems)
    return promises


def _promise(evaluator: Checks, trainer: object, view: RoleData) -> Mapping[str, Collection[str]] | None:
    promise = evaluator.check(trainer, view)
    if promise is None:
        return None
    named = f"{type(evaluator).__name__}.check"
    if not isinstance(promise, Mapping) or any(isinstance(roles, str) for roles in promise.values()):
        message = f"{named} must return the roles whose labels each scalar reads, by name"
        help = ['as in {"accuracy/source": ["source"]}']
        raise ContractError(message, help=help, where=place_in(evaluator, "check"))
    strange = [role for roles in promise.values() for role in roles if role not in view]
    if strange:
        message = f"{named} names the role '{strange[0]}', which the recipe has no data for"
        raise ContractError(message, help=[f"roles: {', '.join(view)}"], where=place_in(evaluator, "check"))
    return promise


# An evaluation ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What one evaluator found at one step. `figures` are the files that were made of its pictures, `names`
    what its scalars are called among those of others."""

    use: EvaluatorUse
    step: int
    evaluation: Evaluation
    tainted: Tainted = Tainted()  # noqa: RUF009 - frozen
    figures: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def protocol(self, scalar: str) -> str:
        """A hash of all that must be equal for two values of the scalar to be comparable."""
        own = self.evaluation.protocols.get(scalar, {})
        return digest_of({**self.settings, **own})[:8]

    @property
    def settings(self) -> Mapping[str, Any]:
        """The protocol that all its scalars share: what the evaluator says, else all of its options."""
        return self.evaluation.protocol or self.use.component.dump()

    def record(self, names: Mapping[str, str] | None = None) -> dict[str, Any]:
        """For results.json and metrics.jsonl; `names`: what each scalar is called there."""
        found = self.evaluation
        call = dict(names or {})
        return {
            "step": self.step,
            "scalars": {call.get(name, name): value for name, value in found.scalars.items()},
            "tables": {name: vars(table) for name, table in found.tables.items()},
            "figures": dict(self.figures),
            "protocol": dict(self.settings),
            "protocols": {call.get(name, name): dict(own) for name, own in found.protocols.items()},
            "better": {call.get(name, name): value for name, value in found.better.items()},
            "tainted": sorted(call.get(name, name) for name in self.tainted.scalars),
            "hidden_labels": sorted(self.tainted.roles),
        }


Look = tuple[Evaluation, Mapping[str, Mapping[str, str]], Sequence[str]]
"""What one found, the files of its figures, and the roles whose labels it read."""


class CrashError(RunError):
    """The process of an evaluator has ended without an answer. `how` is an exit code or a signal, `places`
    say where it was."""

    def __init__(self, label: str, how: str, places: Sequence[str]) -> None:
        super().__init__(f"the process of evaluator '{label}' crashed: {how}", help=places)


@contextmanager
def look(trainer: object, device: torch.device) -> Iterator[None]:
    """Evaluators within it see one model, and share what it makes of images.

    Not of several processes: whether a network is called must be the same in all of them.
    """
    if distributed.is_available() and distributed.is_initialized():
        yield
    else:
        with sharing(trainer, device, EvaluationSplit, partial(state_of, trainer)):
            yield


def evaluate(
    evaluator: Evaluator, trainer: object, data: RoleData, context: EvaluationContext
) -> tuple[Evaluation, dict[str, dict[str, str]]]:
    """Run one evaluator, and save its pictures in `context.folder`."""
    with evaluating(trainer, context.seed), unchanged(trainer, evaluator):
        found = check_evaluation(evaluator, evaluator.evaluate(trainer, data, context))
    saved = {}
    for name, figure in found.figures.items():
        assert isinstance(figure, Figure)
        files = save_figure(figure, context.folder / f"{context.label}_{name}")
        saved[name] = {key: _within(context, key, value) for key, value in files.items()}
    return found, saved


def _within(context: EvaluationContext, key: str, value: str) -> str:
    """A file's path within the run's folder."""
    return value if key == "caption" else (context.folder / value).relative_to(context.run).as_posix()


def check_promise(
    evaluator: object, promise: Mapping[str, Collection[str]] | None, found: Evaluation
) -> None:
    """Raises `ContractError` for a scalar that `check` did not announce."""
    strange = [name for name in found.scalars if promise is not None and name not in promise]
    if strange:
        guess = did_you_mean(strange[0], promise or ())
        message = f"{type(evaluator).__name__} reports '{strange[0]}', which its check() did not announce"
        raise ContractError(message, help=filter(None, [guess]), where=place_in(evaluator, "check"))


def together(outcomes: Sequence[Outcome], earlier: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What several evaluators found at one step, as results.json holds it: nothing replaces anything.

    A scalar has its own name; where an evaluator before it has one of that name, '<label>/<name>'. With
    `earlier` results of the step, those of the same labels are replaced, and all others stay.
    """
    before, labels = dict(earlier or {}), {outcome.use.label for outcome in outcomes}
    evaluations = dict(before.get("evaluations", {}))
    gone = {name for label in labels & evaluations.keys() for name in evaluations.pop(label)["scalars"]}
    scalars = {k: v for k, v in before.get("scalars", {}).items() if k not in gone}
    protocols = {k: v for k, v in before.get("protocols", {}).items() if k not in gone}
    headline = [name for name in before.get("headline", []) if name not in gone]
    for outcome in outcomes:
        label, found = outcome.use.label, outcome.evaluation
        names = {name: outcome.names.get(name, name) for name in found.scalars}
        names = {name: f"{label}/{name}" if called in scalars else called for name, called in names.items()}
        scalars |= {names[name]: value for name, value in found.scalars.items()}
        protocols |= {names[name]: outcome.protocol(name) for name in found.scalars}
        headline += [names[name] for name in found.headline]
        evaluations[label] = {**outcome.record(names), "evaluator": outcome.use.component.dump()}
    tainted = sorted({name for one in evaluations.values() for name in one["tainted"]})
    parts = {"scalars": scalars, "protocols": protocols, "headline": headline, "tainted": tainted}
    return {**before, **parts, "evaluations": evaluations}


def earlier_figures(
    history: Sequence[Mapping[str, Any]], run: Path, label: str, step: int, name: str
) -> list[Path]:
    """The PNG files of an evaluator's figure from looks before `step`, in the order of their steps."""
    looks = [event for event in history if event.get("name") == label and event.get("step", step) < step]
    found = {event["step"]: event.get("figures", {}).get(name, {}).get("file") for event in looks}
    files = [run / file for _, file in sorted(found.items()) if file]
    return [file for file in files if file.suffix == ".png" and file.is_file()]
