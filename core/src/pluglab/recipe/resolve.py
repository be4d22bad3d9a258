"""From a name and a table of options to a validated component, every problem at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticUndefined

from pluglab.components import Component, Deferred, Reference, config_class, nested_of, reference_of
from pluglab.errors import KeyPath, Problem, RecipeError, UserError, did_you_mean
from pluglab.plugins.contracts import ContractError, place_of_option
from pluglab.plugins.known import way_to
from pluglab.plugins.registry import Entry, Registry, a, plural
from pluglab.recipe.validation import coerced, problems_of, unknown_option, wrong_option


@dataclass
class Resolver:
    """Resolves names to components and validates options, collecting every problem instead of stopping.

    `may_drop(path)` says whether an option at `path` may be dropped silently where its component does not
    have it (it was meant for the component that a variant replaced). `top` are the recipe's own options.
    """

    registry: Registry
    may_drop: Callable[[KeyPath], bool] = field(default=lambda path: False)
    top: Sequence[str] = ()
    problems: list[Problem] = field(default_factory=list)

    def component(self, kind: str, value: Any, path: KeyPath) -> Component | None:
        """The component that `value`, a name or a table with a `name`, asks for; None after a problem."""
        if isinstance(value, Component):
            return value
        table = {"name": value} if isinstance(value, str) else value
        if not isinstance(table, Mapping) or not isinstance(table.get("name"), str):
            self._report_unnamed(kind, value, path)
            return None
        named_at = (*path, "name") if isinstance(value, Mapping) else path
        try:
            entry = self.registry.find(kind, table["name"])
            model = config_class(entry)
            _check_kinds(self.registry, model, f"{kind} '{entry.name}'")
        except UserError as error:
            self.report(named_at, error.message, help=error.help, author=error.where)
            return None
        options = {key: item for key, item in table.items() if key != "name"}
        owner, before = f"{kind} '{entry.name}'", len(self.problems)
        config = self.options(model, options, path, owner, f"lab show {kind} {entry.name}")
        for index, problem in enumerate(self.problems[before:], before):
            inner = problem.path[len(path) :]
            if inner and not problem.author and not _is_given(options, inner):
                author = place_of_option(model, str(inner[0])) or entry.where
                blamed = _of_default(problem, inner, owner)
                self.problems[index] = replace(blamed, path=named_at, at_value=True, author=author)
        return Component(entry, config, table["name"]) if config is not None else None

    def _report_unnamed(self, kind: str, value: Any, path: KeyPath) -> None:
        way = f"write the name of {a(kind)} in quotes"
        if isinstance(value, Mapping):
            way = 'write name = "..."'
        names = self.registry.names(kind)
        known = [f"known: {', '.join(names)}"] if names else []
        self.report(path, f"{_words(path)} must name {a(kind)}", help=[way, *known])

    def options(
        self, model: type[BaseModel], table: Mapping[str, Any], path: KeyPath, owner: str, manual: str = ""
    ) -> BaseModel | None:
        """`table` validated as `model`, its component references resolved first."""
        before = len(self.problems)
        known = self._known_only(model, table, path, owner, manual)
        values = {**known, **self._references(model, known, path, owner, manual)}
        config, found = _validated(model, values, owner)
        told = [problem.path for problem in self.problems[before:]]
        for problem in found:
            where = (*path, *problem.path)
            again = any(where[: len(t)] == t or (problem.path and t[: len(where)] == where) for t in told)
            if not again:
                self.problems.append(problem.below(path, *_manual(manual)))
        return config if len(self.problems) == before else None

    def _known_only(
        self, model: type[BaseModel], table: Mapping[str, Any], path: KeyPath, owner: str, manual: str
    ) -> dict[str, Any]:
        for key in table:
            if key not in model.model_fields and not self.may_drop((*path, key)):
                problem = unknown_option((key,), did_you_mean(key, model.model_fields), owner)
                self.problems.append(problem.below(path, *self._ways_out(key, path, model, manual)))
        return {key: item for key, item in table.items() if key in model.model_fields}

    def _ways_out(self, key: str, path: KeyPath, model: type[BaseModel], manual: str) -> tuple[str, ...]:
        if not manual:
            way = "" if path else way_to("recipe_table", key)
            return (way or f"known: {', '.join(model.model_fields)}",)
        misplaced = f"'{key}' is an option of the recipe: write it above the first [table]"
        return (*([misplaced] if key in self.top and path else []), *_manual(manual))

    def _references(
        self, model: type[BaseModel], table: Mapping[str, Any], path: KeyPath, owner: str, manual: str
    ) -> dict[str, Any]:
        """The options that are components, and the tables of options that hold some."""
        resolved: dict[str, Any] = {}
        for name, info in model.model_fields.items():
            reference, nested = reference_of(info), nested_of(info)
            default = info.get_default(call_default_factory=True)
            value = _named_as(default, table[name]) if name in table else default
            if nested is not None and isinstance(value, Mapping) and _holds_components(nested):
                inner = f"'{name}' of {owner}" if path else f"[{name}]"
                resolved[name] = self.options(nested, value, (*path, name), inner, manual)
            if info.annotation is Deferred:
                resolved[name] = self._deferred(value, (*path, name), owner)
            if reference is None or value is None or value is PydanticUndefined:
                continue
            resolved[name] = self._reference(*reference, value, (*path, name))
        return resolved

    def _deferred(self, value: Any, path: KeyPath, owner: str) -> Deferred | None:
        if not isinstance(value, Mapping):
            self.problems.append(wrong_option((path[-1],), "should be a table", owner).below(path[:-1]))
            return None
        return Deferred(value, partial(_validate_deferred, self.registry, path))

    def _reference(self, reference: Reference, many: bool, value: Any, path: KeyPath) -> Any:
        return (
            self.components(reference.kind, value, path)
            if many
            else self.component(reference.kind, value, path)
        )

    def components(self, kind: str, value: Any, path: KeyPath) -> list[Component]:
        """A list of components; those that are good, after a problem."""
        if not isinstance(value, (list, tuple)):
            self.report(path, f"{_words(path)} must be a list of {plural(kind)}")
            return []
        items = [self.component(kind, item, (*path, i)) for i, item in enumerate(value)]
        return [item for item in items if item is not None]

    def report(
        self, path: KeyPath, message: str, note: str = "", help: Sequence[str] = (), author: str = ""
    ) -> None:
        """Note something wrong with the value at `path`."""
        self.problems.append(Problem(message, None, note, tuple(help), path, at_value=True, author=author))


def _validate_deferred(
    registry: Registry, path: KeyPath, model: type[BaseModel], values: Mapping[str, Any], owner: str
) -> BaseModel:
    resolver = Resolver(registry)
    config = resolver.options(model, values, path, owner)
    if config is None:
        raise RecipeError(resolver.problems)
    return config


def make(registry: Registry, kind: str, name: str, **options: Any) -> Component:
    """A component from Python, validated as a recipe's would be. Raises `UserError`."""
    resolver = Resolver(registry)
    component = resolver.component(kind, {"name": name, **options}, (kind,))
    if component is None:
        lines = [" ".join(filter(None, (p.message, p.note))) for p in resolver.problems]
        raise UserError("; ".join(lines), help=resolver.problems[0].help)
    return component


def check_defaults(registry: Registry, entry: Entry) -> None:
    """Raises `ContractError` for an option of a component whose default, or kind, its author got wrong."""
    resolver, path = Resolver(registry), ("name",)
    resolver.component(entry.kind, {"name": entry.qualified}, ())
    for problem in resolver.problems:
        if problem.author and problem.path == path:
            raise ContractError(problem.message, help=problem.help, where=problem.author)


def _check_kinds(registry: Registry, model: type[BaseModel], owner: str) -> None:
    """Raises `ContractError` for an option that is a component of a kind which nobody declares."""
    for name, info in model.model_fields.items():
        if nested := nested_of(info):
            _check_kinds(registry, nested, owner)
        reference = reference_of(info)
        kind = reference[0].kind if reference else ""
        if kind and registry.kind(kind) is None and not registry.entries(kind):
            guess = did_you_mean(kind, [known.name for known in registry.kinds()])
            message = f"the option '{name}' of {owner} is {a(kind)}, and no plugin declares that kind"
            help = [guess or "`lab list kinds` shows those that there are, `lab list plugins` what is loaded"]
            raise ContractError(message, help=help, where=place_of_option(model, name))


def _is_given(table: Any, path: KeyPath) -> bool:
    """Whether a recipe's table says what is at `path`, or names what it is in."""
    for part in path:
        if not isinstance(table, (Mapping, list)):
            return True
        if part not in (table if isinstance(table, Mapping) else range(len(table))):
            return False
        table = table[part]  # type: ignore[index]
    return True


def _of_default(problem: Problem, inner: KeyPath, owner: str) -> Problem:
    """The same in words about an option that a recipe does not give."""
    default = f"the default of '{inner[0]}' of {owner}"
    if len(inner) == 1 and problem.note:
        return replace(problem, message=f"{default} {problem.note}", note="")
    help = (*filter(None, [problem.note]), *problem.help)
    return replace(problem, message=f"{default}: {problem.message}", note="", help=help)


def _validated(
    model: type[BaseModel], values: Mapping[str, Any], owner: str
) -> tuple[BaseModel | None, list[Problem]]:
    """The config, or what is wrong with it."""
    try:
        config = model.model_validate(values)
    except ValidationError as error:
        return None, list(problems_of(error, model, values, owner))
    return config, list(coerced(config, values, owner))


def _holds_components(model: type[BaseModel]) -> bool:
    return any(map(reference_of, model.model_fields.values()))


def _manual(command: str) -> tuple[str, ...]:
    return (f"`{command}` lists every option",) if command else ()


def _named_as(default: Any, value: Any) -> Any:
    """A table without a name changes options of the component that is there by default."""
    if not isinstance(value, Mapping) or "name" in value:
        return value
    if isinstance(default, Mapping):
        return {**default, **value}
    return {"name": default, **value} if isinstance(default, str) else value


def _words(path: KeyPath) -> str:
    return f"'{'.'.join(map(str, path))}'"
