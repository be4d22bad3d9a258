"""`lab new plugin` and `lab new KIND`, in the core's group `lab new`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pluglab.cli.output import echo
from pluglab.conformance import a
from pluglab.errors import UserError
from pluglab_testing import scaffold

EPILOG = """
Examples:

- `lab new plugin coral` writes pluglab-coral with a trainer
- `lab new plugin paintings --kind dataset --out ~/work`

Kinds: {kinds}.
"""


def add(app: typer.Typer) -> None:
    """Raises `UserError` where the core has no group `new`."""
    group = next((one.typer_instance for one in app.registered_groups if one.name == "new"), None)
    if group is None:
        raise UserError("this pluglab has no `lab new`")
    _add_plugin(group)
    for kind in scaffold.KINDS:
        _add_kind(group, kind)


def _add_plugin(group: typer.Typer) -> None:
    @group.command(epilog=EPILOG.format(kinds=", ".join(scaffold.KINDS)))
    def plugin(
        name: Annotated[
            str,
            typer.Argument(
                metavar="NAME", help="pluglab-NAME is written, with NAME in it.", show_default=False
            ),
        ],
        kind: Annotated[
            str, typer.Option("--kind", metavar="KIND", help="What it begins with.")
        ] = scaffold.KINDS[0],
        out: Annotated[
            Path, typer.Option("--out", metavar="DIR", help="The folder that it is put into.")
        ] = Path(),
    ) -> None:
        """Write an installable, typed distribution: a component, its recipe, its tests, its workflows."""
        one = scaffold.begun(kind, name)
        folder = out / one.words()["distribution"]
        for file in scaffold.write_plugin(one, folder):
            echo(f"wrote {file}")
        distribution = one.words()["distribution"]
        echo(f"next: pip install -e {folder}, then lab check {distribution} and lab run {one.name}")


def _add_kind(group: typer.Typer, kind: str) -> None:
    @group.command(kind, help=f"Write a plugin in one file, with {a(kind)} to begin with.")
    def write(
        file: Annotated[
            Path,
            typer.Argument(metavar="FILE.py", help="Its name is the component's too.", show_default=False),
        ],
    ) -> None:
        path = file if file.suffix == ".py" else file.with_name(f"{file.name}.py")
        scaffold.write_file(scaffold.begun(kind, path.stem), path)
        echo(f"wrote {path}")
        echo(f"next: lab check {path}")
