"""`lab show`."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pluglab.cli import completion, stand_ins
from pluglab.cli.list import about, find_kind
from pluglab.cli.output import print_json, print_table, print_text
from pluglab.cli.parameters import AsJson, PluginFiles, Sets, Variants, plugins_with
from pluglab.plugins.loading import Plugins
from pluglab.plugins.registry import Entry

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo


def add(app: typer.Typer, plugins: Plugins) -> None:
    @app.command()
    def show(
        kind: Annotated[
            str,
            typer.Argument(
                metavar="KIND",
                help="trainer, dataset, evaluator, ...; or recipe.",
                autocompletion=completion.shown,
            ),
        ],
        name: Annotated[
            str,
            typer.Argument(
                metavar="NAME",
                help="Its name; for a recipe, the file.",
                autocompletion=completion.names,
            ),
        ],
        sets: Sets = [],  # noqa: B006
        variant: Variants = [],  # noqa: B006
        plugin: PluginFiles = [],  # noqa: B006
        as_json: AsJson = False,
    ) -> None:
        """Show every option of a component, or a resolved recipe with the origin of each value."""
        stand_ins.use()
        loaded = plugins_with(plugins, plugin)
        if kind == "recipe":
            _show_recipe(Path(name), sets, variant, loaded, as_json=as_json)
        else:
            known = find_kind(kind, loaded, ("recipe",))
            _show_component(loaded.registry.find(known, name), loaded, as_json=as_json)


def _show_recipe(
    path: Path, sets: Sequence[str], variants: Sequence[str], plugins: Plugins, *, as_json: bool
) -> None:
    from pluglab.recipe.recipe import load_recipe

    file = load_recipe(path, sets)
    recipe = file.resolve_all(plugins.registry, variants)[0]
    rows = list(recipe.values())
    if as_json:
        print_json([{"key": key, "value": value, "origin": origin} for key, value, origin in rows])
        return
    print_table(
        ["option", "value", "from"], [[key, json.dumps(value), origin] for key, value, origin in rows]
    )
    if recipe.variant:
        print(f"variant '{recipe.variant}' of: {', '.join(file.variants)}  (--variant NAME shows another)")


def _show_component(entry: Entry, plugins: Plugins, *, as_json: bool) -> None:
    from pluglab import capabilities
    from pluglab.components import config_class
    from pluglab.recipe.resolve import check_defaults

    check_defaults(plugins.registry, entry)
    options = list(_options(config_class(entry), plugins))
    facts: dict[str, Any] = {"kind": entry.kind, **about(entry), "documentation": entry.documentation()}
    if entry.kind == "trainer" and isinstance(entry.load(), type):
        facts["can"] = capabilities.in_words(capabilities.of(entry.load()))
    if as_json:
        print_json({**facts, "options": options})
        return
    print_text(f"{entry.kind} '{entry.qualified}'" + (f", {entry.paper}" if entry.paper else ""))
    print_text(f"\n{facts['documentation']}\n\n")
    if facts.get("can"):
        print_text(f"It can {', '.join(facts['can'])}.\n\n")
    if options:
        columns = ["option", "type", "default", "meaning"]
        print_table(columns, [[option[column] for column in columns] for option in options])
    else:
        print("It has no options.")


def _options(model: type[BaseModel], plugins: Plugins, table: str = "") -> Iterator[dict[str, Any]]:
    """One row an option; those of a table of options follow it, with dotted names."""
    from pluglab.components import nested_of

    for name, info in model.model_fields.items():
        yield {"option": table + name, **_option(info, plugins)}
        if nested := nested_of(info):
            yield from _options(nested, plugins, f"{table}{name}.")


def _option(info: FieldInfo, plugins: Plugins) -> dict[str, Any]:
    from pluglab.components import Deferred, nested_of, reference_of

    reference, (required, value) = reference_of(info), default_of(info)
    default = "required" if required else _words(value)
    if reference is not None:
        names = ", ".join(plugins.registry.names(reference[0].kind))
        type_words = f"{'list of ' if reference[1] else ''}{reference[0].kind} ({names})"
    elif nested_of(info) is not None or info.annotation is Deferred:
        type_words = "table"
    else:
        type_words = _type_words(info.annotation)
    bounds = ", ".join(_bound(item) for item in info.metadata if _bound(item))
    meaning = " ".join((info.description or "").split())
    return {"type": f"{type_words} {bounds}".strip(), "default": default, "meaning": meaning}


def default_of(info: FieldInfo) -> tuple[bool, Any]:
    """Whether an option must be given, and else its default."""
    return info.is_required(), None if info.is_required() else info.get_default(call_default_factory=True)


def _words(value: Any) -> str:
    return json.dumps(value, default=str) if value is not None else "none"


def _type_words(annotation: Any) -> str:
    """A type as a person would say it: 'float >= 0 or "auto"', 'list of int'."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " | ".join(json.dumps(value) for value in arguments)
    if origin is Annotated:
        bounds = ", ".join(words for item in arguments[1:] for words in _bounds_of(item))
        return f"{_type_words(arguments[0])} {bounds}".strip()
    if origin in (typing.Union, types.UnionType):
        kinds = [_type_words(kind) for kind in arguments if kind is not type(None)]
        return " or ".join(kinds)
    if origin in (list, tuple, set):
        inner = [_type_words(kind) for kind in arguments if kind is not Ellipsis]
        fixed = origin is tuple and Ellipsis not in arguments
        return f"({', '.join(inner)})" if fixed else f"list of {inner[0] if inner else 'values'}"
    if origin is dict:
        return f"table of {_type_words(arguments[1])}"
    if annotation is Any:
        return "any"
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def _bounds_of(item: Any) -> list[str]:
    """The bounds in an annotation: of pydantic's `Field`, or one by itself."""
    return [words for one in getattr(item, "metadata", [item]) if (words := _bound(one))]


def _bound(item: Any) -> str:
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    return ", ".join(f"{sign} {getattr(item, key)}" for key, sign in signs.items() if hasattr(item, key))
