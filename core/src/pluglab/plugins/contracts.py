"""Whether what a plugin's author wrote is what its kind asks for, told with the author's own file and line.

Targets are checked when they are first loaded. `pluglab.plugins.returned` checks what they return.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Sequence
from typing import Any

from pluglab import capabilities
from pluglab.capabilities import annotations_of, is_capability, lacks, words_of
from pluglab.errors import UserError, did_you_mean
from pluglab.plugins.kinds import Kind
from pluglab.protocols import Checks, Prepares, Role

# What the core constructs its components with; `config` only those that have options.
MADE_WITH: dict[str, Sequence[str]] = {
    "trainer": ("config", "data"),
    **dict.fromkeys(("dataset", "evaluator", "transform", "observer", "launcher"), ("config",)),
}


class ContractError(UserError):
    """A plugin's author has broken the contract of a kind; `where` is the author's line."""


def place_of(thing: object) -> str:
    """'file:line' of a class, a function, or an object's class; empty where there is no source."""
    thing = inspect.unwrap(thing) if callable(thing) else thing
    if not isinstance(thing, (type, types.FunctionType, types.MethodType)):
        thing = type(thing)
    try:
        return f"{inspect.getsourcefile(thing)}:{inspect.getsourcelines(thing)[1]}"
    except (OSError, TypeError):
        return ""


def place_of_option(config: type, name: str) -> str:
    """'file:line' of an option in the `Config` that declares it."""
    owner = next((base for base in config.__mro__ if name in annotations_of(base)), config)
    try:
        lines, first = inspect.getsourcelines(owner)
    except (OSError, TypeError):
        return ""
    found = (number for number, line in enumerate(lines) if re.match(rf"\s*{name}\s*:", line))
    return f"{inspect.getsourcefile(owner)}:{first + next(found, 0)}"


def place_in(owner: object, member: str) -> str:
    """The place of a method of an object or class, or of the class itself."""
    return place_of(getattr(owner, member, None) or owner) or place_of(owner)


# Targets ---------------------------------------------------------------------------------------------


def check_target(who: str, kind: Kind, target: Any, can: tuple[type, ...], where: str) -> None:
    """Raises `ContractError` for a target that is not what components of its kind must be.

    `can` are the capabilities that it was registered with, `where` is the line that did.
    """
    if not callable(target):
        raise ContractError(f"{who} must be a class or a function, not {target!r}", where=where)
    _check_config(who, target)
    protocol = kind.load()
    if protocol is not None:
        _check_protocol(who, kind, target, protocol)
    check = {"trainer": _check_trainer, "evaluator": _check_evaluator}.get(kind.name)
    if check is not None:
        check(who, target)
    _check_promised(who, can, target)


def _check_protocol(who: str, kind: Kind, target: Any, protocol: type) -> None:
    options = hasattr(target, "Config")
    free = kind.signature_options and not options  # its own parameters are options, so it may want more
    if kind.function or is_itself(target, protocol):
        _check_call(who, target, protocol.__call__, 1 if options else 0, "", free)
        _check_attributes(who, target, protocol)
    elif isinstance(target, type):
        names = MADE_WITH.get(kind.name) or _made_with(protocol)
        if names is not None and not free:
            _check_constructor(who, target, names)
        _check_class(who, target, protocol)


def is_itself(target: Any, protocol: type | None) -> bool:
    """Whether a function is not a factory of what a kind wants but that itself, as a schedule `half(p)`."""
    if protocol is None or not isinstance(target, types.FunctionType) or "__call__" not in vars(protocol):
        return False
    own = (None,) if hasattr(target, "Config") else ()
    wanted = len(_positional(protocol.__call__))
    return not _takes(target, len(own)) and _takes(target, len(own) + wanted)


def _check_config(who: str, target: Any) -> None:
    from pydantic import BaseModel

    config = getattr(target, "Config", None)
    if config is not None and not (isinstance(config, type) and issubclass(config, BaseModel)):
        message = f"{who}: its Config must be a subclass of pluglab.Options"
        raise ContractError(message, where=place_of(config) or place_of(target))


def _check_class(who: str, target: type, protocol: type) -> None:
    optional = not getattr(protocol, "_is_protocol", False)  # a class whose methods do nothing, as Observer
    for name, member in vars(protocol).items():
        if inspect.isfunction(member) and (not name.startswith("_") or name == "__call__"):
            own = getattr(target, name, None)
            if own is None and optional:
                continue
            if not callable(own) or getattr(own, "__isabstractmethod__", False):
                _missing(who, target, f"{name}{_signature(member)}")
            static = isinstance(inspect.getattr_static(target, name, None), staticmethod)
            _check_call(who, own, member, 0 if static else 1, name)
    if optional and not any(hasattr(target, name) for name in ("__getattr__", *_methods(protocol))):
        guesses = (did_you_mean(name, _methods(protocol)) for name in vars(target) if name[0] != "_")
        help = [next(filter(None, guesses), ""), f"methods: {', '.join(_methods(protocol))}"]
        raise ContractError(
            f"{who} has no method of its kind", help=filter(None, help), where=place_of(target)
        )
    _check_attributes(who, target, protocol)


def _methods(protocol: type) -> list[str]:
    return [name for name, member in vars(protocol).items() if inspect.isfunction(member) and name[0] != "_"]


def _made_with(protocol: type) -> list[str] | None:
    """What components of a kind are constructed with, where its protocol says so."""
    own = vars(protocol).get("__init__")
    return _positional(own) if own and own.__module__ == protocol.__module__ else None


def _check_constructor(who: str, target: type, names: Sequence[str]) -> None:
    given = names if hasattr(target, "Config") else [name for name in names if name != "config"]
    if not _takes(target, len(given)):
        raise ContractError(
            f"{who}: it is made with ({', '.join(given)}), and takes {_signature(target)}",
            where=place_in(target, "__init__"),
        )


def _check_call(
    who: str, own: Any, wanted: Callable[..., Any], extra: int, name: str, free: bool = False
) -> None:
    names = _positional(wanted)
    if not _takes_any(wanted) and not _takes(own, len(names) + extra, free):
        message = f"{who}: {name or 'it'} is called with ({', '.join(names)}), and takes {_signature(own)}"
        raise ContractError(message, where=place_of(own))


def _check_attributes(who: str, target: Any, protocol: type) -> None:
    wanted = [name for name, member in vars(protocol).items() if isinstance(member, property)]
    wanted += [name for name in annotations_of(protocol) if not name.startswith("_")]
    bases = target.__mro__ if isinstance(target, type) else ()
    annotated = {name for base in bases for name in annotations_of(base)}
    # What a constructor sets cannot be seen on the class, so only classes without one are held to it.
    for name in wanted:
        if not hasattr(target, name) and name not in annotated and not _sets(target, name):
            _missing(who, target, name)


def _sets(target: Any, name: str) -> bool:
    """Whether a method of the class assigns `self.name`."""
    functions = (f for base in getattr(target, "__mro__", ()) for f in vars(base).values())
    return any(inspect.isfunction(f) and name in f.__code__.co_names for f in functions)


def _missing(who: str, target: Any, member: str) -> None:
    raise ContractError(f"{who} has no {member}", where=place_of(target))


def _check_methods(who: str, target: Any, protocol: type) -> None:
    """The methods of a protocol that a target need not have, as far as it has them."""
    for name, member in vars(protocol).items():
        own = getattr(target, name, None)
        if inspect.isfunction(member) and not name.startswith("_") and inspect.isfunction(own):
            static = isinstance(inspect.getattr_static(target, name), staticmethod)
            _check_call(who, own, member, 0 if static else 1, name)


def _check_trainer(who: str, target: Any) -> None:
    _check_is_class(who, target)
    _check_roles(who, target)
    for wanted in capabilities.of(target):
        _check_methods(who, target, wanted)


def _check_evaluator(who: str, target: Any) -> None:
    _check_is_class(who, target)
    _check_needs(who, target)
    for optional in (Checks, Prepares):
        _check_methods(who, target, optional)


def _check_is_class(who: str, target: Any) -> None:
    if not isinstance(target, type):
        raise ContractError(f"{who} must be a class, not {target!r}", where=place_of(target))


def _check_roles(who: str, target: Any) -> None:
    roles = getattr(target, "roles", ())
    levels = ("required", "optional", "hidden")
    if not isinstance(roles, (tuple, list)) or not all(isinstance(role, Role) for role in roles):
        message = f'{who}: roles must be a tuple of Role, such as (Role("train"),), not {roles!r}'
        raise ContractError(message, where=place_of(target))
    for role in roles:
        if role.labels not in levels:
            help = filter(None, [did_you_mean(str(role.labels), levels), f"it is one of {', '.join(levels)}"])
            message = f"{who}: role '{role.name}' has labels={role.labels!r}"
            raise ContractError(message, help=help, where=place_of(target))


def _check_promised(who: str, promised: tuple[type, ...], target: Any) -> None:
    for wanted in promised:
        if missing := lacks(target, wanted):
            message = f"{who} is registered as one that can {words_of(wanted)}, and has no {missing[0]}"
            raise ContractError(message, where=place_of(target))


def _check_needs(who: str, target: Any) -> None:
    needs = getattr(target, "needs", ())
    if not isinstance(needs, (tuple, list)) or not all(map(is_capability, needs)):
        raise ContractError(
            f"{who}: needs must be a tuple of capabilities, not {needs!r}",
            help=["import them from pluglab.capabilities; one of your own has the decorator @capability"],
            where=place_of(target),
        )


def _positional(function: Callable[..., Any]) -> list[str]:
    """The names of a protocol's parameters without self; those that may be any number are left out."""
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.name != "self" and p.kind is p.POSITIONAL_OR_KEYWORD]


def _takes_any(wanted: Callable[..., Any]) -> bool:
    return any(p.kind is p.VAR_POSITIONAL for p in inspect.signature(wanted).parameters.values())


def _takes(function: Any, count: int, free: bool = False) -> bool:
    """Whether it can be called with that many positional arguments; if `free`, perhaps with more by name."""
    try:
        signature = inspect.signature(function)
        (signature.bind_partial if free else signature.bind)(*[None] * count)
    except TypeError:
        return False
    except ValueError:  # a builtin that does not tell
        return True
    return True


def _signature(function: Any) -> str:
    names = [name for name in inspect.signature(function).parameters if name != "self"]
    return f"({', '.join(names)})"
