"""What this distribution adds. Imports nothing heavy: what a command does is loaded when it is called."""

from __future__ import annotations

import typer

from pluglab_testing import command, new


def lab_commands(app: typer.Typer) -> None:
    """`lab check`, and what authors begin with in `lab new`."""
    command.add(app)
    new.add(app)
