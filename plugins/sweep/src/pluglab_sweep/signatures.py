"""Optuna's classes as components: their options are those of their own constructors."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable
from typing import Any

from optuna.exceptions import ExperimentalWarning


def made_by(target: type, *, first: str = "", without: tuple[str, ...] = ()) -> Callable[..., Any]:
    """A function with the parameters of a class, `first` before them, which it drops unless the class has it.

    `without` are parameters that no recipe can give.
    """
    own = [
        parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=_annotation(parameter, target))
        for parameter in inspect.signature(target).parameters.values()
        if parameter.name not in (first, *without)
    ]

    def make(*given: Any, **options: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # whoever names it has chosen it
            return target(**options)

    ahead = [inspect.Parameter(first, inspect.Parameter.POSITIONAL_ONLY)] if first else []
    make.__name__, make.__doc__, make.__module__ = target.__name__, target.__doc__, target.__module__
    make.__annotations__ = {one.name: one.annotation for one in own if one.annotation is not one.empty}
    make.__signature__ = inspect.Signature([*ahead, *own])  # type: ignore[attr-defined]
    return make


def _annotation(parameter: inspect.Parameter, target: type) -> Any:
    """What Optuna writes as a text; nothing where only a type checker knows the names in it."""
    if not isinstance(parameter.annotation, str):
        return parameter.annotation
    try:
        return eval(parameter.annotation, vars(sys.modules[target.__module__]))
    except (NameError, TypeError):
        return parameter.empty
