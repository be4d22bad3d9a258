"""What `lab list`, `show`, `describe`, `schema` and `doctor` do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluglab.cli.output import echo, print_json, print_table
from pluglab.errors import UserError, did_you_mean
from pluglab.plugins.loading import Plugins
from pluglab.plugins.registry import Entry

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    from pluglab.experiments.experiment import Session


LISTS = ("plugins", "recipes", "runs")


def list_(what: str, plugins: Plugins, run_dir: Path, *, as_json: bool) -> None:
    if what == "plugins":
        rows = [vars(report) for report in plugins.reports]
        columns = ["name", "status", "version", "distribution", "components", "error"]
    elif what == "recipes":
        rows, columns = _recipes(Path("recipes")), ["recipe", "about"]
    elif what == "runs":
        rows, columns = _runs(run_dir), ["run", "status", "results"]
    else:
        kind = _kind(what, plugins, LISTS)
        rows = [_about(entry) for entry in plugins.registry.entries(kind)]
        columns = ["name", "plugin", "summary", "paper"]
    if as_json:
        print_json(rows)
    elif rows:
        print_table(columns, [[row[column] for column in columns] for row in rows])
    else:
        where = {"recipes": " below ./recipes", "runs": f" in {run_dir}; --run-dir names another folder"}
        echo(f"no {what}{where.get(what, '')}")


def _kind(word: str, plugins: Plugins, others: Sequence[str]) -> str:
    """'encoders' or 'encoder' to 'encoder'. Raises `UserError`; `others` are words that would do as well."""
    # The core's kinds are known even where no plugin provides any.
    kinds = {*plugins.registry.kinds(), "trainer", "dataset", "evaluator", "metric"}
    known = {**{kind: kind for kind in kinds}, **{_plural(kind): kind for kind in kinds}}
    if word not in known:
        words = sorted({*others, *(map(_plural, kinds) if others is LISTS else kinds)})
        help = filter(None, [did_you_mean(word, words), f"known: {', '.join(words)}"])
        raise UserError(f"there is no kind of component called '{word}'", help=help)
    return known[word]


def _plural(kind: str) -> str:
    if kind.endswith("y"):
        return f"{kind[:-1]}ies"
    return f"{kind}es" if kind.endswith("s") else f"{kind}s"


def _about(entry: Entry) -> dict[str, str]:
    return {"name": entry.name, "plugin": entry.plugin, "summary": entry.summary, "paper": entry.paper}


def _recipes(folder: Path) -> list[dict[str, str]]:
    """Recipes below `folder`, each with the first line of its header."""
    return [
        {"recipe": str(path), "about": _header(path)}
        for path in sorted(folder.rglob("*.toml"))
        if not path.name.startswith(".")
    ]


def _header(path: Path) -> str:
    lines = path.read_text(errors="replace").splitlines()[:5]
    return next((line.lstrip("# ") for line in lines if line.startswith("# ")), "")


def _runs(root: Path) -> list[dict[str, Any]]:
    from pluglab.storage.run_folder import find_runs

    return [_run_row(folder) for folder in find_runs(root)]


def _run_row(folder: Path) -> dict[str, Any]:
    try:
        return _intact_run(folder)
    except UserError as error:
        return {"run": str(folder), "status": "damaged", "results": error.message}


def _intact_run(folder: Path) -> dict[str, Any]:
    from pluglab.storage.run_folder import run_folders

    runs = run_folders(folder)
    states = [run.read()["status"] for run in runs]
    results = [run.results() for run in runs]
    status = states[0] if len(states) == 1 else _summary(states)
    scalars = {
        k: v for r in results[:1] for k, v in r.get("scalars", {}).items() if k in r.get("headline", [])
    }
    words = ", ".join(f"{key} {value:.2f}" for key, value in scalars.items()) if len(runs) == 1 else ""
    return {"run": str(folder), "status": status, "results": words}


def _summary(states: Sequence[str]) -> str:
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))


# show -----------------------------------------------------------------------------------------------


def show(
    kind: str, name: str, sets: Sequence[str], variants: Sequence[str], plugins: Plugins, *, as_json: bool
) -> None:
    if kind == "recipe":
        _show_recipe(Path(name), sets, variants, plugins, as_json=as_json)
    else:
        known = _kind(kind, plugins, ("recipe",))
        _show_component(plugins.registry.find(known, name), plugins, as_json=as_json)


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
    from pluglab.components import config_class

    options = list(_options(config_class(entry.load()), plugins))
    facts = {"kind": entry.kind, **_about(entry), "documentation": entry.documentation()}
    if as_json:
        print_json({**facts, "options": options})
        return
    print(f"{entry.kind} '{entry.qualified}'" + (f", {entry.paper}" if entry.paper else ""))
    print(f"\n{facts['documentation']}\n")
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
    from pluglab.components import reference_of

    reference = reference_of(info)
    default = "required" if info.is_required() else _words(info.get_default(call_default_factory=True))
    if reference is not None:
        names = ", ".join(plugins.registry.names(reference[0].kind))
        type_words = f"{'list of ' if reference[1] else ''}{reference[0].kind} ({names})"
    else:
        type_words = _type_words(info.annotation)
    bounds = ", ".join(_bound(item) for item in info.metadata if _bound(item))
    meaning = " ".join((info.description or "").split())
    return {"type": f"{type_words} {bounds}".strip(), "default": default, "meaning": meaning}


def _words(value: Any) -> str:
    return json.dumps(value, default=str) if value is not None else "none"


def _type_words(annotation: Any) -> str:
    import typing

    if typing.get_origin(annotation) is typing.Literal:
        return " | ".join(json.dumps(value) for value in typing.get_args(annotation))
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "").replace("NoneType", "None")


def _bound(item: Any) -> str:
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    return ", ".join(f"{sign} {getattr(item, key)}" for key, sign in signs.items() if hasattr(item, key))


# describe, schema, doctor -------------------------------------------------------------------------------


def describe(
    path: Path, sets: Sequence[str], variants: Sequence[str], session: Session, *, as_json: bool
) -> None:
    from pluglab.cli import networks as describing
    from pluglab.experiments.experiment import prepare
    from pluglab.recipe.recipe import load_recipe

    recipes = load_recipe(path, sets).resolve_all(session.plugins.registry, variants)
    first = {recipe.variant: recipe for recipe in reversed(recipes)}
    found = {}
    for item in prepare(list(reversed(first.values())), session):
        trainer = item.recipe.options.trainer.build(item.material.specs())
        found[item.recipe.variant or item.recipe.title] = describing.describe(trainer)
    if as_json:
        print_json({name: describing.as_json(networks) for name, networks in found.items()})
        return
    import sys

    for name, networks in found.items():
        print(f"{name}\n\n{describing.as_text(networks, terminal=sys.stdout.isatty())}\n")


def schema(out: Path | None, plugins: Plugins) -> None:
    from pluglab.recipe.json_schema import recipe_schema
    from pluglab.recipe.recipe import RecipeOptions

    text = json.dumps(recipe_schema(plugins.registry, RecipeOptions))
    if out is None:
        print(text)
        return
    try:
        out.write_text(text + "\n")
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}") from None
    echo(f"wrote {out}")


def doctor(data_root: Path | None, plugins: Plugins, *, as_json: bool) -> None:
    from pluglab.cli.checks import checks

    found = list(checks(data_root, plugins.reports))
    if as_json:
        print_json([vars(check) for check in found])
    else:
        print_table(["check", "status", "detail"], [[c.name, c.status, c.detail] for c in found])
        for check in found:
            if check.status != "ok" and check.help:
                print(f"{check.name}: {check.help}")
    if any(check.status == "fail" for check in found):
        raise SystemExit(1)
