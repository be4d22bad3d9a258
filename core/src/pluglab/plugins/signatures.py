"""Options out of a signature, for classes that were written without this project in mind."""

from __future__ import annotations

import inspect
import types
import typing
from functools import lru_cache
from typing import Annotated, Any, Literal, Union

from pydantic import BaseModel, Field, create_model

PLAIN = (bool, int, float, str)
# Ways of computing the same thing, which are the machine's business.
HIDDEN = ("foreach", "fused", "capturable", "differentiable", "maximize", "validate_args")
MEANINGS = {
    "lr": "Learning rate before any schedule.",
    "weight_decay": "Weight decay.",
    "betas": "Decay rates of the running averages of the gradient and of its square.",
    "eps": "Added to the denominator.",
    "momentum": "Momentum.",
    "nesterov": "Use Nesterov momentum.",
    "num_classes": "How many classes there are.",
}
BOUNDS: dict[str, Any] = {"lr": {"gt": 0}, "weight_decay": {"ge": 0}, "eps": {"gt": 0}, "momentum": {"ge": 0}}


@lru_cache
def options_from_signature(target: Any, base: type[BaseModel], skip: int = 0) -> type[BaseModel]:
    """A model with an option for each parameter of plain type, the first `skip` left out.

    Parameters of other types keep their defaults. `base` is the model's base class.
    """
    try:
        hints = typing.get_type_hints(_constructor(target))
    except Exception:  # an annotation that names what only a type checker imports
        hints = {}
    parameters = list(inspect.signature(target).parameters.values())[skip:]
    fields = {p.name: field for p in parameters if (field := _field(p, hints.get(p.name), target))}
    name = f"{getattr(target, '__name__', 'Component')}Options"
    made: type[BaseModel] = create_model(name, __base__=base, **fields)  # type: ignore[call-overload]
    return made


def _constructor(target: Any) -> Any:
    """The function whose parameters are those of a class, which may be a base's; a function itself."""
    for base in target.__mro__[:-1] if isinstance(target, type) else ():
        for name in ("__new__", "__init__"):
            if name in vars(base):
                return getattr(base, name)
    return target


def _field(parameter: inspect.Parameter, hint: Any, target: Any) -> tuple[Any, Any] | None:
    """Type and default of an option; None for a parameter that cannot be one."""
    default, name = parameter.default, parameter.name
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) or name in HIDDEN:
        return None
    required = default is parameter.empty
    kind = _plain_type(hint)
    if kind is None and not required and default is not None:
        kind = _type_of(default)
    if kind is None and required:
        kind = Any
    if kind is None:
        return None
    if not required:
        default = _as_written(default, kind)
    meaning = MEANINGS.get(name, f"As {getattr(target, '__name__', target)} names it.")
    bounds = BOUNDS.get(name, {}) if kind in (int, float) else {}
    return Annotated[kind, Field(**bounds)], Field(... if required else default, description=meaning)


def _plain_type(hint: Any) -> Any:
    """The hint without what a recipe cannot write, such as tensors; None where nothing is left."""
    if hint in PLAIN or hint is type(None):
        return hint
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return hint
    if origin in (Union, types.UnionType):
        kept = [kind for kind in map(_plain_type, arguments) if kind is not None]
        if not [kind for kind in kept if kind is not type(None)]:
            return None
        # A recipe cannot tell 1 from 1.0, so a number that may be both is a float.
        kept = [kind for kind in kept if kind is not int or float not in kept]
        return Union[tuple(kept)]  # noqa: UP007 - made from a tuple
    if origin is tuple:
        parts = [kind for kind in map(_plain_type, arguments) if kind is not None]
        return tuple[tuple(parts)] if len(parts) == len(arguments) else None  # type: ignore[misc]
    return None


def _type_of(default: Any) -> Any:
    if isinstance(default, tuple) and all(type(item) in PLAIN for item in default):
        return tuple[tuple(type(item) for item in default)]  # type: ignore[misc]
    return type(default) if type(default) in PLAIN else None


def _as_written(default: Any, kind: Any) -> Any:
    return float(default) if kind is float and type(default) is int else default
