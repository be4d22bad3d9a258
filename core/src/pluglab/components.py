"""From a name and a table of options to a validated component, one kind at a time.

A plugin declares what its component can be told with an `Options` subclass called `Config`. An option that
is itself a component is annotated `Annotated[Component, Reference("encoder")]`; a recipe then gives a name
or a table with a `name`. A default is written `named("lenet")`.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, core_schema

from pluglab.errors import UserError, did_you_mean
from pluglab.plugins.registry import Entry, Registry
from pluglab.recipe.validation import Issue as Issue
from pluglab.recipe.validation import Path, complaints, misread, unknown_option

F = TypeVar("F", bound=Callable[..., Any])


class Options(BaseModel):
    """Base of every `Config`: unknown options are errors, values cannot change."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True
    )


@dataclass(frozen=True)
class Reference:
    """Marks an option as a component of this kind."""

    kind: str


def named(name: str | list[str], **options: Any) -> Any:
    """The default of an option that is a component, or a list of them: names, and options of the one.

    A plain string would do at run time; this also satisfies a type checker.
    """
    return Field({"name": name, **options} if options else name)


def table(**options: Any) -> Any:
    """The default of an option that is itself a table of options, as a recipe would write it."""
    return Field(options)


@dataclass(frozen=True)
class Component:
    """A registered component with its validated options; `build` makes the object. `written` is the name
    that a recipe used: 'dcgan', or 'gan/dcgan' where two plugins have one of that name."""

    entry: Entry
    config: BaseModel
    written: str = ""

    @property
    def kind(self) -> str:
        return self.entry.kind

    @property
    def name(self) -> str:
        return self.entry.name

    @cached_property
    def target(self) -> Any:
        return self.entry.load()

    def build(self, *args: Any, **kwargs: Any) -> Any:
        """`target(config, *args, **kwargs)`; a target that has no `Config` is not given one."""
        if hasattr(self.target, "Config"):
            return self.target(self.config, *args, **kwargs)
        return self.target(*args, **kwargs)

    def dump(self) -> dict[str, Any]:
        """The table that a recipe would hold: the name and every option, defaults included."""
        return {"name": self.written or self.entry.name, **dump_options(self.config)}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return core_schema.is_instance_schema(cls)


def dump_options(config: BaseModel) -> dict[str, Any]:
    """Plain TOML-able values of a config, in declaration order; options that are None are left out."""
    values = ((name, getattr(config, name)) for name in type(config).model_fields)
    return {name: _plain(value) for name, value in values if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, Component):
        return value.dump()
    if isinstance(value, BaseModel):
        return dump_options(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items() if item is not None}
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def config_class(target: Any) -> type[BaseModel]:
    """The `Config` of a component's target; one without has no options."""
    return typing.cast(type[BaseModel], getattr(target, "Config", Options))


def takes(config: type[BaseModel]) -> Callable[[F], F]:
    """Marks a function as a component with these options, which become its first argument."""

    def mark(function: F) -> F:
        function.__dict__["Config"] = config
        return function

    return mark


def reference_of(info: FieldInfo) -> tuple[Reference, bool] | None:
    """The `Reference` in an option's annotation, and whether the option is a list of components."""
    for item in info.metadata:
        if isinstance(item, Reference):
            return item, False
    return _reference_in(info.annotation, many=False)


def nested_of(info: FieldInfo) -> type[BaseModel] | None:
    """The model of an option that is a table of options, if any of those is a component; else None.

    The default of such an option is a `table`, whose components are not made yet.
    """
    model = info.annotation
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return None
    return model if any(map(reference_of, model.model_fields.values())) else None


def _reference_in(annotation: Any, many: bool) -> tuple[Reference, bool] | None:
    for item in getattr(annotation, "__metadata__", ()):
        if isinstance(item, Reference):
            return item, many
    many = many or typing.get_origin(annotation) in (list, tuple, Sequence)
    found = (_reference_in(argument, many) for argument in typing.get_args(annotation))
    return next((item for item in found if item), None)


@dataclass
class Resolver:
    """Resolves names to components and validates options, collecting every issue instead of stopping.

    `droppable(path)` says whether an option at `path` may be dropped silently where its component does not
    have it (it was meant for the component that a variant replaced). `top` are the recipe's own options.
    """

    registry: Registry
    droppable: Callable[[Path], bool] = field(default=lambda path: False)
    top: Sequence[str] = ()
    issues: list[Issue] = field(default_factory=list)

    def component(self, kind: str, value: Any, path: Path) -> Component | None:
        """The component that `value`, a name or a table with a `name`, asks for; None after an issue."""
        table = {"name": value} if isinstance(value, str) else value
        if isinstance(value, Component):
            return value
        if not isinstance(table, Mapping) or not isinstance(table.get("name"), str):
            way = (
                'write name = "..."'
                if isinstance(value, Mapping)
                else f"write the name of {_a(kind)} in quotes"
            )
            self._report(path, f"{_words(path)} must name {_a(kind)}", help=[way, *self._known(kind)])
            return None
        try:
            entry = self.registry.find(kind, table["name"])
            model = config_class(entry.load())
        except UserError as error:
            where = (*path, "name") if isinstance(value, Mapping) else path
            self.issues.append(Issue(where, error.message, help=error.help, at_value=True))
            return None
        options = {key: item for key, item in table.items() if key != "name"}
        config = self.options(model, options, path, f"{kind} '{entry.name}'", f"lab show {kind} {entry.name}")
        return Component(entry, config, table["name"]) if config is not None else None

    def options(
        self, model: type[BaseModel], table: Mapping[str, Any], path: Path, owner: str, manual: str = ""
    ) -> BaseModel | None:
        """`table` validated as `model`, its component references resolved first."""
        before = len(self.issues)
        known = self._known_only(model, table, path, owner, manual)
        values = {**known, **self._references(model, known, path, owner, manual)}
        config, found = _validated(model, values, owner)
        told = [issue.path for issue in self.issues[before:]]
        for issue in found:
            where = (*path, *issue.path)
            if not any(where[: len(t)] == t or (issue.path and t[: len(where)] == where) for t in told):
                self.issues.append(replace(issue, path=where, help=(*issue.help, *_manual(manual))))
        return config if len(self.issues) == before else None

    def _known_only(
        self, model: type[BaseModel], table: Mapping[str, Any], path: Path, owner: str, manual: str
    ) -> dict[str, Any]:
        for key in table:
            if key not in model.model_fields and not self.droppable((*path, key)):
                issue = unknown_option((key,), did_you_mean(key, model.model_fields), owner)
                help = self._ways_out(key, path, model, manual)
                self.issues.append(replace(issue, path=(*path, key), help=help))
        return {key: item for key, item in table.items() if key in model.model_fields}

    def _ways_out(self, key: str, path: Path, model: type[BaseModel], manual: str) -> tuple[str, ...]:
        if not manual:
            return (f"known: {', '.join(model.model_fields)}",)
        misplaced = f"'{key}' is an option of the recipe: write it above the first [table]"
        return (*([misplaced] if key in self.top and path else []), *_manual(manual))

    def _references(
        self, model: type[BaseModel], table: Mapping[str, Any], path: Path, owner: str, manual: str
    ) -> dict[str, Any]:
        """The options that are components, and the tables of options that hold some."""
        resolved: dict[str, Any] = {}
        for name, info in model.model_fields.items():
            reference, nested = reference_of(info), nested_of(info)
            default = info.get_default(call_default_factory=True)
            value = _named_as(default, table[name]) if name in table else default
            if nested is not None and isinstance(value, Mapping):
                resolved[name] = self.options(nested, value, (*path, name), owner, manual)
            if reference is None or value is None or value is PydanticUndefined:
                continue
            resolved[name] = self._reference(*reference, value, (*path, name))
        return resolved

    def _reference(self, reference: Reference, many: bool, value: Any, path: Path) -> Any:
        if not many:
            return self.component(reference.kind, value, path)
        if not isinstance(value, (list, tuple)):
            self._report(path, f"{_words(path)} must be a list of {reference.kind}s")
            return None
        items = [self.component(reference.kind, item, (*path, i)) for i, item in enumerate(value)]
        return [item for item in items if item is not None]

    def _report(self, path: Path, message: str, help: Sequence[str] = ()) -> None:
        self.issues.append(Issue(path, message, help=tuple(help), at_value=True))

    def _known(self, kind: str) -> list[str]:
        names = self.registry.names(kind)
        return [f"known: {', '.join(names)}"] if names else []


def make(registry: Registry, kind: str, name: str, **options: Any) -> Component:
    """A component from Python, validated as a recipe's would be. Raises `UserError`."""
    resolver = Resolver(registry)
    component = resolver.component(kind, {"name": name, **options}, (kind,))
    if component is None:
        lines = [" ".join(filter(None, (i.message, i.note))) for i in resolver.issues]
        raise UserError("; ".join(lines), help=resolver.issues[0].help)
    return component


def _validated(
    model: type[BaseModel], values: Mapping[str, Any], owner: str
) -> tuple[BaseModel | None, list[Issue]]:
    """The config, or what is wrong with it."""
    try:
        config = model.model_validate(values)
    except ValidationError as error:
        return None, list(complaints(error, model, values, owner))
    return config, list(misread(config, values, owner))


def _manual(command: str) -> tuple[str, ...]:
    return (f"`{command}` lists every option",) if command else ()


def _named_as(default: Any, value: Any) -> Any:
    """A table without a name changes options of the component that is there by default."""
    if not isinstance(value, Mapping) or "name" in value:
        return value
    if isinstance(default, Mapping):
        return {**default, **value}
    return {"name": default, **value} if isinstance(default, str) else value


def _words(path: Path) -> str:
    return f"'{'.'.join(map(str, path))}'"


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
