"""The application: the core's commands, each in a module of its own, and those of the plugins."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

import pluglab
from pluglab.cli import (
    clean,
    compare,
    describe,
    doctor,
    evaluate,
    extend,
    new,
    repair,
    resume,
    run,
    sample,
    schema,
    show,
    tag,
    tensorboard,
)
from pluglab.cli import (
    list as list_,
)
from pluglab.cli.invoked import as_invoked
from pluglab.plugins.commands import name_of
from pluglab.plugins.loading import Plugins

LISTING = list_, show, describe, new, schema, doctor, tag, clean, repair
COMMANDS = run, resume, extend, evaluate, compare, sample, tensorboard, *LISTING
EPILOG = """
Begin with `lab list recipes`, `lab run RECIPE --dry-run` and `lab run RECIPE`.

LAB_PLUGINS=a,b limits which plugins load. `--debug` with any command shows the traceback of an error.
`--trust` runs the plugin files, which are programs, that a run's own record names: of people whom you trust.
"""


def _tell_version(asked: bool) -> None:
    if asked:
        print(f"pluglab {pluglab.__version__}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", metavar="", callback=_tell_version, is_eager=True, help="Show the version."),
]


def _everywhere(version: Version = False) -> None:
    """What may stand before any command."""


def _told(callback: Callable[..., Any] | None) -> Callable[..., Any]:
    """A command of ours, which is left by no plugin's code without a word."""
    assert callback is not None

    @functools.wraps(callback)
    def call(*words: Any, **options: Any) -> Any:
        from pluglab.storage.failures import leaving_told

        with leaving_told():
            return callback(*words, **options)

    return call


def build_app(plugins: Plugins) -> typer.Typer:
    """Each module of `COMMANDS` adds its own; nothing of what they do is imported before it is done."""
    app = typer.Typer(
        help="Train and compare image generators and domain-adaptation methods, one recipe at a time.",
        epilog=as_invoked(EPILOG),
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )
    app.callback()(_everywhere)
    for module in COMMANDS:
        module.add(app, plugins)
    for command in app.registered_commands:
        command.callback = _told(command.callback)
    plugins.add_commands(app)
    for command in app.registered_commands:
        command.epilog = as_invoked(command.epilog or "")
    return app


def keep_called(app: typer.Typer, words: Sequence[str]) -> None:
    """Leave the command that `words` begin with, if there is one, alone: typer reads the declarations of all
    that an application has, which takes longer than anything else that it does."""
    for command in app.registered_commands:
        if words and words[0] == name_of(command):
            app.registered_commands, app.registered_groups = [command], []
            return
