"""What a plugin's `lab_commands` may do to the command line: add to it, and nothing else."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PARTS = "registered_commands", "registered_groups"


class CommandError(Exception):
    """A command that a plugin may not add; `function` is the author's."""

    def __init__(self, message: str, function: Any = None) -> None:
        super().__init__(message)
        self.function = function


@contextmanager
def only_adding(app: Any) -> Iterator[None]:
    """Whatever is done to a `typer.Typer` inside counts wholly or, after an error, not at all.

    Raises `CommandError` for a command whose name is taken, hidden or not, and for one that is gone.
    """
    before, callback = {part: list(getattr(app, part)) for part in PARTS}, app.registered_callback
    taken = dict(_commands(app))
    try:
        yield
        after = list(_commands(app))
        if app.registered_callback is not callback or any(pair not in after for pair in taken.items()):
            raise CommandError("it may add commands, and change none that there are")
        for name, function in [pair for pair in after if pair not in taken.items()]:
            if name in taken:
                raise CommandError(f"there is a command '{name}' already", function)
            taken[name] = function
    except BaseException:
        for part, items in before.items():
            getattr(app, part)[:] = items
        app.registered_callback = callback
        raise


def place_of_code(*functions: Any) -> str:
    """'file:line' of the first of these that is a function."""
    codes = (getattr(inspect.unwrap(one), "__code__", None) for one in functions if callable(one))
    code = next(filter(None, codes), None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else ""


def name_of(command: Any) -> str:
    """The word after `lab`, as typer makes it of a function's name."""
    return str(command.name or command.callback.__name__.lower().replace("_", "-"))


def _commands(app: Any) -> Iterator[tuple[str, Any]]:
    """Every word after `lab`, with its function; commands of a group without a name are beside the others."""
    for command in app.registered_commands:
        yield name_of(command), command.callback
    for group in app.registered_groups:
        from typer.main import solve_typer_info_defaults

        solved = solve_typer_info_defaults(group)
        if solved.name:
            yield solved.name, solved.callback or group.typer_instance
        else:
            yield from _commands(group.typer_instance)
