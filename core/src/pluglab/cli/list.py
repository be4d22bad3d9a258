"""`lab list`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from pluglab.cli import completion
from pluglab.cli.output import echo, print_json, print_table
from pluglab.cli.parameters import AsJson, PluginFiles, RunDir, Wheres, plugins_with
from pluglab.errors import UserError, did_you_mean
from pluglab.plugins.kinds import Kind
from pluglab.plugins.loading import Plugins
from pluglab.plugins.registry import Entry, plural


def add(app: typer.Typer, plugins: Plugins) -> None:
    @app.command("list")
    def list_(
        what: Annotated[
            str,
            typer.Argument(
                metavar="WHAT",
                help="plugins, recipes, runs, kinds, or a kind of component: trainers, datasets, "
                "evaluators, metrics, encoders, ...",
                show_default=False,
                autocompletion=completion.lists,
            ),
        ],
        run_dir: RunDir = Path("runs"),
        where: Wheres = [],  # noqa: B006
        status: Annotated[
            list[str],
            typer.Option(
                "--status",
                metavar="STATUS",
                help="Only runs that are finished, running, failed, "
                "interrupted, died, pending or damaged; may be given again.",
                show_default=False,
            ),
        ] = [],  # noqa: B006
        sort: Annotated[
            str,
            typer.Option(
                "--sort",
                metavar="KEY",
                help="Sort runs by started, seconds, step, bytes, a scalar, or an "
                "option such as trainer.optimizer.lr.",
                show_default=False,
            ),
        ] = "",
        reverse: Annotated[bool, typer.Option("--reverse", metavar="", help="The largest first.")] = False,
        plugin: PluginFiles = [],  # noqa: B006
        as_json: AsJson = False,
    ) -> None:
        """List plugins, components, recipes or runs.

        Of runs one sees which options differ among those of one recipe, how far they are, and their results.
        """
        if what == "runs":
            from pluglab.cli.runs import list_runs

            list_runs(run_dir, where, status, sort, reverse=reverse, as_json=as_json)
            return
        if where or status or sort or reverse:
            raise UserError("--where, --status, --sort and --reverse are for `lab list runs`")
        rows, columns = _table(what, plugins_with(plugins, plugin))
        if as_json:
            print_json(rows)
        elif rows:
            print_table(columns, [[row[column] for column in columns] for row in rows])
        else:
            echo(f"no {what}{' below ./recipes, nor with a plugin' if what == 'recipes' else ''}")


def _table(what: str, plugins: Plugins) -> tuple[list[dict[str, Any]], list[str]]:
    if what == "plugins":
        columns = ["name", "status", "version", "distribution", "components", "error"]
        return [vars(report) for report in plugins.reports], columns
    if what == "recipes":
        return _recipes(Path("recipes")), ["recipe", "about"]
    if what in ("kinds", "kind"):
        rows = [_about_kind(kind, plugins) for kind in plugins.registry.kinds()]
        return rows, ["kind", "plugin", "components", "summary", "protocol"]
    kind = find_kind(what, plugins, completion.LISTS)
    entries = plugins.registry.entries(kind)
    columns = ["name", "plugin", "summary", "paper"]
    if kind == "trainer":
        return [{**about(entry), "can": _can(entry)} for entry in entries], [*columns, "can"]
    return [about(entry) for entry in entries], columns


def find_kind(word: str, plugins: Plugins, others: Sequence[str]) -> str:
    """'encoders' or 'encoder' to 'encoder'. Raises `UserError`; `others` are words that would do as well."""
    kinds = [kind.name for kind in plugins.registry.kinds()]
    known = {**{kind: kind for kind in kinds}, **{plural(kind): kind for kind in kinds}}
    if word not in known:
        words = sorted({*others, *(map(plural, kinds) if others is completion.LISTS else kinds)})
        help = filter(None, [did_you_mean(word, words), f"known: {', '.join(words)}"])
        raise UserError(f"there is no kind of component called '{word}'", help=help)
    return known[word]


def about(entry: Entry) -> dict[str, str]:
    return {"name": entry.name, "plugin": entry.plugin, "summary": entry.summary, "paper": entry.paper}


def _can(entry: Entry) -> Sequence[str]:
    """What its plugin says that a trainer can do, or what the class shows where that is at hand."""
    from pluglab import capabilities

    found = capabilities.of(entry.target) if isinstance(entry.target, type) else entry.can
    return capabilities.in_words(found)


def _about_kind(kind: Kind, plugins: Plugins) -> dict[str, Any]:
    protocol = kind.protocol if isinstance(kind.protocol, str) else getattr(kind.protocol, "__qualname__", "")
    count = len(plugins.registry.entries(kind.name))
    facts = {"kind": kind.name, "plugin": kind.plugin, "components": count}
    return {**facts, "summary": kind.summary, "protocol": protocol}


def _recipes(folder: Path) -> list[dict[str, str]]:
    """Recipes below `folder`, and those that come with plugins, each with the first line of its header."""
    from pluglab.recipe.installed import installed_recipes

    here = {str(path): path for path in sorted(folder.rglob("*.toml"))}
    known = {path.resolve() for path in here.values()}
    others = {name: path for name, path in installed_recipes().items() if path.resolve() not in known}
    return [{"recipe": name, "about": _header(path)} for name, path in _whole({**here, **others}).items()]


def _whole(files: Mapping[str, Path]) -> dict[str, Path]:
    """Those that are recipes: not parts, which others extend and which have no title."""
    from pluglab.recipe.recipe import MACHINE_FILE

    plain = {name: path for name, path in files.items() if path.name[0] != "." and path.name != MACHINE_FILE}
    tables = {name: _toml(path) for name, path in plain.items()}
    extended = {
        (plain[name].parent / base).resolve() for name, table in tables.items() for base in _extended(table)
    }
    return {
        name: path
        for name, path in plain.items()
        if "title" in tables[name] or path.resolve() not in extended
    }


def _toml(path: Path) -> dict[str, Any]:
    """What it holds; nothing, where it is no sound TOML."""
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except ValueError:
        return {}


def _extended(value: Any) -> Iterator[str]:
    """The files that a recipe, or a variant in it, extends."""
    if isinstance(value, Mapping):
        names = value.get("extends", [])
        yield from map(str, names if isinstance(names, list) else [names])
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _extended(one)


def _header(path: Path) -> str:
    lines = path.read_text("utf-8-sig", errors="replace").splitlines()[:5]
    return next((line.lstrip("# ") for line in lines if line.startswith("# ")), "")
