"""`lab describe`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pluglab.cli.output import echo, print_json, terminal_width
from pluglab.cli.parameters import (
    AsJson,
    DataRoot,
    PluginFiles,
    Sets,
    Variants,
    plugins_with,
)
from pluglab.errors import UserError, did_you_mean, printable
from pluglab.plugins.loading import Plugins

if TYPE_CHECKING:
    from pluglab.architecture.networks import Architecture
    from pluglab.experiments.session import Session


def add(app: typer.Typer, plugins: Plugins) -> None:
    @app.command()
    def describe(
        recipe: Annotated[
            Path,
            typer.Argument(
                metavar="RECIPE|RUN",
                help="A recipe file, or a folder that `lab run` made.",
                show_default=False,
            ),
        ],
        as_print: Annotated[
            bool,
            typer.Option(
                "--as-print", metavar="", help="Show each network nested, as print(module) does in Python."
            ),
        ] = False,
        sets: Sets = [],  # noqa: B006
        variant: Variants = [],  # noqa: B006
        data_root: DataRoot = None,
        plugin: PluginFiles = [],  # noqa: B006
        as_json: AsJson = False,
    ) -> None:
        """Show each network of a recipe or a run: layers, output shapes, parameters, memory."""
        from pluglab.architecture.text import WIDTH, nested, tables
        from pluglab.storage.run_folder import is_experiment, is_run

        if is_run(recipe) or is_experiment(recipe):
            found = dict(_recorded(recipe, sets, variant))
        else:
            from pluglab.experiments.session import new_session

            found = _described(
                recipe, sets, variant, new_session(plugins_with(plugins, plugin), data_root, echo)
            )
        if as_json:
            print_json({name: one.plain() for name, one in found.items()})
            return
        for name, one in found.items():
            text = nested(one) if as_print else tables(one, terminal_width() or WIDTH)
            print(f"{printable(name)}\n\n{text}\n")


def _recorded(
    folder: Path, sets: Sequence[str], variants: Sequence[str]
) -> Iterator[tuple[str, Architecture]]:
    """The networks of each variant of an experiment, as its first run has recorded them."""
    from pluglab.architecture.networks import Architecture
    from pluglab.storage.run_folder import read_json, run_folders

    if sets:
        raise UserError(
            "a run's networks are those that it has", help=["leave --set out, or give its recipe.toml"]
        )
    runs = {
        state["variant"] or state["recipe"]: run
        for run in reversed(run_folders(folder))
        for state in [run.read()]
    }
    for name in variants or list(reversed(runs)):
        if name not in runs:
            ways = [did_you_mean(name, runs), f"variants: {', '.join(reversed(runs))}"]
            raise UserError(f"{folder} has no variant '{name}'", help=filter(None, ways))
        if not runs[name].architecture.is_file():
            help = [f"lab describe {shlex.quote(str(runs[name].recipe))} makes them anew"]
            raise UserError(f"{runs[name].path} has no record of its networks", help=help)
        yield name, Architecture.of(read_json(runs[name].architecture))


def _described(
    path: Path, sets: Sequence[str], variants: Sequence[str], session: Session
) -> dict[str, Architecture]:
    """The networks of each variant, by its name."""
    from pluglab.architecture.describing import describe
    from pluglab.data.run_data import DatasetCache, RunData
    from pluglab.engine.evaluation import check_fit
    from pluglab.recipe.recipe import load_recipe

    recipes = load_recipe(path, sets).resolve_all(session.plugins.registry, variants)
    check_fit(recipes)
    first = {recipe.variant: recipe for recipe in reversed(recipes)}
    cache, found = DatasetCache(session.context), {}
    for recipe in reversed(first.values()):
        component, data = recipe.options.trainer, RunData(recipe, cache)
        with recipe.error_location(("trainer", "name")):
            trainer = component.build(data.specs())
        for note in data.notes():
            session.log(note)
        found[recipe.variant or recipe.title] = describe(trainer, recipe.options.batch_size)
    return found
