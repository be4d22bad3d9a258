"""`lab schema`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pluglab.cli import stand_ins
from pluglab.cli.output import echo
from pluglab.cli.parameters import PluginFiles, plugins_with
from pluglab.errors import UserError
from pluglab.plugins.loading import Plugins


def add(app: typer.Typer, plugins: Plugins) -> None:
    @app.command()
    def schema(
        out: Annotated[
            Path | None, typer.Option("--out", metavar="FILE", help="Write to this file, not to stdout.")
        ] = None,
        plugin: PluginFiles = [],  # noqa: B006
    ) -> None:
        """Print the JSON schema of recipes, for editors: recipes begin with `#:schema ./.schema.json`."""
        from pluglab.recipe.json_schema import recipe_schema
        from pluglab.recipe.keys import RecipeOptions

        stand_ins.use()
        text = json.dumps(recipe_schema(plugins_with(plugins, plugin).registry, RecipeOptions))
        if out is None:
            print(text)
            return
        try:
            out.write_text(text + "\n")
        except OSError as error:
            raise UserError(f"{out} cannot be written: {error.strerror}") from None
        echo(f"wrote {out}")
