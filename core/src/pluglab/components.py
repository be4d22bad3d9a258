"""What a component can be told, and a component that has been told it.

A plugin declares the options of its component with an `Options` subclass called `Config`. An option that is
itself a component is annotated `Annotated[Component, Reference("encoder")]`; a recipe then gives a name or a
table with a `name`. A default is written `named("lenet")`.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial, update_wrapper
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core import core_schema

from pluglab.errors import UserError
from pluglab.plugins.contracts import is_itself
from pluglab.plugins.registry import Entry
from pluglab.plugins.returned import check_optimizer
from pluglab.plugins.signatures import options_from_signature

F = TypeVar("F", bound=Callable[..., Any])


class Options(BaseModel):
    """Base of every `Config`: unknown options are errors, numbers are finite, values cannot change."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        validate_default=True,
        allow_inf_nan=False,
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


def takes(config: type[BaseModel]) -> Callable[[F], F]:
    """Marks a function as a component with these options, which become its first argument."""

    def mark(function: F) -> F:
        function.__dict__["Config"] = config
        return function

    return mark


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

    def build(self, *args: Any) -> Any:
        """`target(config, *args)`; a target that has no `Config` is not given one.

        A function that is itself what the kind wants, such as a schedule `half(p)`, comes back as it is. One
        without a `Config` whose options are those of its signature is given them by name.
        """
        own = (self.config,) if hasattr(self.target, "Config") else ()
        if is_itself(self.target, self.entry.spec.load()) and not self.entry.spec.function:
            return update_wrapper(partial(self.target, *own), self.target)
        made = self.target(*own, *args) if own or not self.entry.spec.signature_options else self._made(args)
        return check_optimizer(self.target, made) if self.kind == "optimizer" else made

    def _made(self, args: Sequence[Any]) -> Any:
        """Made with options by name. Raises `UserError` for values that only it itself can refuse."""
        try:
            return self.target(*args, **{name: value for name, value in self.config if value is not None})
        except (TypeError, ValueError) as error:
            message = f"{self.kind} '{self.name}' refuses its options: {error}"
            help = [f"`lab show {self.kind} {self.name}` lists them"]
            raise UserError(message, help=help) from error

    def dump(self) -> dict[str, Any]:
        """The table that a recipe would hold: the name and every option, defaults included."""
        return {"name": self.written or self.entry.name, **dump_options(self.config)}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return core_schema.is_instance_schema(cls)


M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Deferred:
    """An option that is a table of options of another component, which is known only when it is used.

    `table` is what the recipe says. Its default is a `table()`.
    """

    table: Mapping[str, Any]
    validate: Callable[[type[BaseModel], Mapping[str, Any], str], Any] = field(repr=False, compare=False)

    def resolve(self, model: type[M], owner: str) -> M:
        """The table as these options, their components made. `owner` says in words whose options they are.

        Raises `RecipeError` with all that is wrong, each with its place in the recipe.
        """
        found: M = self.validate(model, self.table, owner)
        return found

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
    if isinstance(value, Deferred):
        return _plain(value.table)
    if isinstance(value, BaseModel):
        return dump_options(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items() if item is not None}
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def config_class(entry: Entry) -> type[BaseModel]:
    """The options of a component: those of its `Config`, or of its signature where its kind wants that."""
    target = entry.load()
    own: type[BaseModel] | None = getattr(target, "Config", None)
    if own is not None:
        return own
    if entry.spec.signature_options:
        return options_from_signature(target, Options, skip=1 if entry.spec.function else 0)
    return Options


def reference_of(info: FieldInfo) -> tuple[Reference, bool] | None:
    """The `Reference` in an option's annotation, and whether the option is a list of components."""
    for item in info.metadata:
        if isinstance(item, Reference):
            return item, False
    return _reference_in(info.annotation, many=False)


def nested_of(info: FieldInfo) -> type[BaseModel] | None:
    """The model of an option that is a table of options; None for any other option.

    The default of such an option is a `table`, whose components are not made yet.
    """
    model = info.annotation
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def _reference_in(annotation: Any, many: bool) -> tuple[Reference, bool] | None:
    for item in getattr(annotation, "__metadata__", ()):
        if isinstance(item, Reference):
            return item, many
    many = many or typing.get_origin(annotation) in (list, tuple, Sequence)
    found = (_reference_in(argument, many) for argument in typing.get_args(annotation))
    return next((item for item in found if item), None)
