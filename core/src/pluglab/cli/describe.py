"""`lab describe`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pluglab.cli.output import echo, print_json, terminal_width
from pluglab.cli.parameters import (
    AsJson,
    DataRoot,
    PluginFiles,
    RecipePath,
    Sets,
    Variants,
    plugins_with,
)
from pluglab.errors import UserError, printable
from pluglab.plugins.loading import Plugins

if TYPE_CHECKING:
    from pluglab.cli.networks import Network
    from pluglab.experiments.session import Session


WIDTH = 110  # through a pipe


def add(app: typer.Typer, plugins: Plugins) -> None:
    @app.command()
    def describe(
        recipe: RecipePath,
        sets: Sets = [],  # noqa: B006
        variant: Variants = [],  # noqa: B006
        data_root: DataRoot = None,
        plugin: PluginFiles = [],  # noqa: B006
        as_json: AsJson = False,
    ) -> None:
        """Show each network of a recipe: layers, output shapes, parameters."""
        from pluglab.cli import networks
        from pluglab.experiments.session import new_session

        session = new_session(plugins_with(plugins, plugin), data_root, echo)
        found = _describe(recipe, sets, variant, session)
        if as_json:
            print_json({name: networks.as_json(described) for name, described in found.items()})
            return
        terminal, width = sys.stdout.isatty(), terminal_width() or WIDTH
        for name, described in found.items():
            text = networks.as_text(described, terminal=terminal, width=width)
            print(f"{printable(name)}\n\n{text}\n")


def _describe(
    path: Path, sets: Sequence[str], variants: Sequence[str], session: Session
) -> dict[str, list[Network]]:
    """The networks of each variant, by its name."""
    from pluglab.capabilities import HasNetworks, can, words_of
    from pluglab.cli.networks import describe
    from pluglab.data.run_data import DatasetCache, RunData
    from pluglab.engine.evaluation import check_fit
    from pluglab.recipe.recipe import load_recipe

    recipes = load_recipe(path, sets).resolve_all(session.plugins.registry, variants)
    check_fit(recipes)
    first = {recipe.variant: recipe for recipe in reversed(recipes)}
    cache, found = DatasetCache(session.context), {}
    for recipe in reversed(first.values()):
        component, data = recipe.options.trainer, RunData(recipe, cache)
        if not can(component.target, HasNetworks):
            raise UserError(f"trainer '{component.name}' cannot {words_of(HasNetworks)}")
        with recipe.error_location(("trainer", "name")):
            trainer = component.build(data.specs())
        for note in data.notes():
            session.log(note)
        found[recipe.variant or recipe.title] = describe(trainer)
    return found
