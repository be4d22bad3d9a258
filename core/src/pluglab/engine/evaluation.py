"""Runs evaluators: checks that they fit the trainer, keeps training untouched, saves what they draw."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from pluglab.errors import Problem, RecipeError
from pluglab.figures import save_picture
from pluglab.protocols import Evaluation, EvaluationContext, Evaluator
from pluglab.recipe.recipe import EvaluatorUse, Recipe
from pluglab.training.trainer import modules_of, set_mode


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
        for capability in getattr(use.component.target, "needs", ()):
            if not issubclass(recipe.options.trainer.target, capability):
                yield _misfit(recipe, index, use, capability)


def _misfit(recipe: Recipe, index: int, use: EvaluatorUse, capability: type) -> Problem:
    able, methods = words_of(capability)
    trainer = recipe.options.trainer.name
    message = f"evaluator '{use.component.name}' needs a trainer that can {able}; '{trainer}' cannot"
    help = [f"a trainer can {able} if it has {methods}; or leave this evaluator out"]
    return recipe.problem(("evaluate", index, "name"), message, help=help)


def words_of(capability: type) -> tuple[str, str]:
    """What a trainer that has the capability can do, and the methods that make it so."""
    able = (inspect.getdoc(capability) or capability.__name__).strip("'")
    return able, ", ".join(f"{name}()" for name in vars(capability) if not name.startswith("_"))


@contextmanager
def evaluating(trainer: object, seed: int) -> Iterator[None]:
    """Evaluation mode, no gradients, random numbers of its own: training goes on as if nothing had been."""
    training = {name: module.training for name, module in modules_of(trainer).items()}
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    set_mode(trainer, "eval")
    try:
        with torch.random.fork_rng(devices), torch.no_grad():
            torch.manual_seed(seed)
            yield
    finally:
        for name, module in modules_of(trainer).items():
            module.train(training.get(name, True))


def evaluate(
    evaluator: Evaluator, trainer: object, data: Mapping[str, Any], context: EvaluationContext
) -> Evaluation:
    """Run one evaluator, and save its pictures in `context.folder`."""
    with evaluating(trainer, context.seed):
        evaluation = evaluator.evaluate(trainer, data, context)
    for name, figure in evaluation.figures.items():
        save_picture(figure, context.folder / f"{context.label}_{name}")
    return evaluation
