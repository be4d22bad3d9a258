"""`lab list`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from pluglab.cli.output import echo, print_json, print_table
from pluglab.cli.parameters import AsJson, PluginFiles, RunDir, plugins_with
from pluglab.errors import UserError, did_you_mean
from pluglab.plugins.kinds import Kind
from pluglab.plugins.loading import Plugins
from pluglab.plugins.registry import Entry, plural

LISTS = ("plugins", "recipes", "runs", "kinds")


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
            ),
        ],
        run_dir: RunDir = Path("runs"),
        plugin: PluginFiles = [],  # noqa: B006
        as_json: AsJson = False,
    ) -> None:
        """List plugins, components, recipes or runs."""
        rows, columns = _table(what, plugins_with(plugins, plugin), run_dir)
        if as_json:
            print_json(rows)
        elif rows:
            print_table(columns, [[row[column] for column in columns] for row in rows])
        else:
            where = {"recipes": " below ./recipes", "runs": f" in {run_dir}; --run-dir names another folder"}
            echo(f"no {what}{where.get(what, '')}")


def _table(what: str, plugins: Plugins, run_dir: Path) -> tuple[list[dict[str, Any]], list[str]]:
    if what == "plugins":
        columns = ["name", "status", "version", "distribution", "components", "error"]
        return [vars(report) for report in plugins.reports], columns
    if what == "recipes":
        return _recipes(Path("recipes")), ["recipe", "about"]
    if what == "runs":
        return _runs(run_dir), ["run", "status", "results"]
    if what in ("kinds", "kind"):
        rows = [_about_kind(kind, plugins) for kind in plugins.registry.kinds()]
        return rows, ["kind", "plugin", "components", "summary", "protocol"]
    kind = find_kind(what, plugins, LISTS)
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
        words = sorted({*others, *(map(plural, kinds) if others is LISTS else kinds)})
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
    """Recipes below `folder`, each with the first line of its header."""
    from pluglab.recipe.recipe import MACHINE_FILE

    return [
        {"recipe": str(path), "about": _header(path)}
        for path in sorted(folder.rglob("*.toml"))
        if not path.name.startswith(".") and path.name != MACHINE_FILE
    ]


def _header(path: Path) -> str:
    lines = path.read_text("utf-8-sig", errors="replace").splitlines()[:5]
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
    oracle = " (oracle)" if len(runs) == 1 and results[0].get("selected_by", {}).get("oracle") else ""
    return {"run": str(folder), "status": status, "results": words + oracle}


def _summary(states: Sequence[str]) -> str:
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
