"""What a person sees while an export goes on: a line a stage; on a terminal a spinner and a clock besides."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def telling() -> Iterator[Callable[[str], None]]:
    """A function that says a line on stderr; the last one is what goes on until the next."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(file=sys.stderr)  # this very stream: the exporters' own words are sent elsewhere
    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    with Progress(
        *columns,
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        disable=not console.is_terminal,
    ) as progress:
        stage = progress.add_task("", total=None)

        def say(text: str) -> None:
            console.print(text, markup=False, highlight=False, soft_wrap=True)
            progress.reset(stage, description=text)

        yield say
