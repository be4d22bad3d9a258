"""The application: the core's commands, each in a module of its own, and those of the plugins."""

from __future__ import annotations

import typer

from pluglab.cli import (
    compare,
    describe,
    doctor,
    evaluate,
    extend,
    predict,
    resume,
    run,
    sample,
    schema,
    show,
)
from pluglab.cli import (
    list as list_,
)
from pluglab.cli.invoked import as_invoked
from pluglab.plugins.loading import Plugins

COMMANDS = run, resume, extend, evaluate, compare, sample, predict, list_, show, describe, schema, doctor
EPILOG = """
Begin with `lab list recipes`, `lab run RECIPE --dry-run` and `lab run RECIPE`.

LAB_PLUGINS=a,b limits which plugins load. `--debug` with any command shows the traceback of an error.
"""


def build_app(plugins: Plugins) -> typer.Typer:
    """Each module of `COMMANDS` adds its own; nothing of what they do is imported before it is done."""
    app = typer.Typer(
        help="Train and compare image generators and domain-adaptation methods, one recipe at a time.",
        epilog=as_invoked(EPILOG),
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )
    for module in COMMANDS:
        module.add(app, plugins)
    plugins.add_commands(app)
    for command in app.registered_commands:
        command.epilog = as_invoked(command.epilog or "")
    return app
