"""What this distribution adds. Imports nothing heavy: what the command does is loaded when it is called."""

import typer

from pluglab_export import command


def lab_commands(app: typer.Typer) -> None:
    """The command `lab export`."""
    command.add(app)
