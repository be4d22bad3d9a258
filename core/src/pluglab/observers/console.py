"""What a person sees while a run goes on: a live bar on a terminal, a plain line now and then elsewhere.

Everything goes to stderr, so that what a command prints on stdout stays clean. Rich is imported when the
first bar is shown.
"""

from __future__ import annotations

import atexit
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from pluglab.protocols import Evaluation, Observer, RunInfo

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

REFRESHES_PER_SECOND = 2
SECONDS_BETWEEN_LINES = 10.0
SPEED = "speed/images_per_s"


class Display(Protocol):
    """A place for one bar: lines stay, the bar moves."""

    def update(self, done: int, details: str) -> None: ...
    def say(self, text: str, style: str = "") -> None: ...
    def stop(self) -> None: ...


class _Timed:
    """Knows how long the rest will take: as long a unit as it took so far, pauses included."""

    def __init__(self, total: int, done: int) -> None:
        self.total, self.first, self.started = total, done, time.monotonic()

    def left(self, done: int) -> str:
        if done <= self.first:
            return ""
        seconds = (time.monotonic() - self.started) / (done - self.first) * (self.total - done)
        return f"{duration(seconds)} left"


class LiveDisplay(_Timed):
    """A bar that moves, for a terminal, with the details on a line of their own under it."""

    def __init__(self, console: Console, title: str, total: int, done: int = 0) -> None:
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        super().__init__(total, done)
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f} %"),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}", markup=False),
            console=console,
            expand=True,
        )
        self.task = self.progress.add_task(title, total=total, completed=done, left="")
        self.details = ""
        self.live = Live(
            get_renderable=self._picture,
            console=console,
            refresh_per_second=REFRESHES_PER_SECOND,
            transient=True,
            # stdout belongs to the command; Rich would send it to stderr with the bar.
            redirect_stdout=False,
        )
        self.live.start()
        # A process that is killed cannot give a hidden cursor back, so it is never hidden.
        console.show_cursor(True)
        atexit.register(self.stop)

    def _picture(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        details = [Text(self.details, no_wrap=True, overflow="ellipsis", style="dim")] if self.details else []
        return Group(self.progress, *details)

    def update(self, done: int, details: str) -> None:
        self.details = details
        self.progress.update(self.task, completed=done, left=self.left(done))

    def say(self, text: str, style: str = "") -> None:
        from rich.text import Text

        # As a Text, because a style given to print would color the bar as well.
        self.live.console.print(Text(text, style=style))

    def stop(self) -> None:
        self.live.stop()
        atexit.unregister(self.stop)


class PlainDisplay(_Timed):
    """Lines of text, for a file or a build log: at the start, about every ten seconds, at the end."""

    def __init__(self, console: Console, title: str, total: int, done: int = 0) -> None:
        super().__init__(total, done)
        self.console, self.title, self.printed = console, title, self.started
        self.say(f"{title}: {done} of {total}")

    def update(self, done: int, details: str) -> None:
        if time.monotonic() - self.printed < SECONDS_BETWEEN_LINES:
            return
        self.printed = time.monotonic()
        place = f"{self.title}: {done} of {self.total}, {100 * done / max(1, self.total):.0f} %"
        self.say(", ".join(filter(None, [place, self.left(done), details])))

    def say(self, text: str, style: str = "") -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def stop(self) -> None:
        """Nothing is open."""


def show(title: str, total: int, done: int = 0) -> Display:
    """The display that suits stderr."""
    from rich.console import Console

    # A notebook says that it is a terminal, and cannot move a cursor.
    plain = False if "ipykernel" in sys.modules else None
    console = Console(stderr=True, force_jupyter=False, force_terminal=plain)
    kind = LiveDisplay if console.is_terminal and not console.is_dumb_terminal else PlainDisplay
    return kind(console, title, total, done)


# A run ---------------------------------------------------------------------------------------------


class ConsoleObserver(Observer):
    """A run's progress, scores and warnings on stderr."""

    def __init__(self) -> None:
        self.step, self.details, self.started = 0, "", time.monotonic()
        self.display: Display | None = None

    def run_started(self, run: RunInfo, step: int) -> None:
        self.step = step
        self.display = show(_title(run), run.steps, step)

    def step_logged(self, run: RunInfo, step: int, scalars: Mapping[str, float]) -> None:
        speed = [f"{scalars[SPEED]:,.0f} images/s"] if SPEED in scalars else []
        losses = [f"{name} {value:.4g}" for name, value in scalars.items() if name != SPEED]
        self.step, self.details = step, "  ".join(speed + losses)
        if self.display is not None:
            self.display.update(step, self.details)

    def evaluated(self, run: RunInfo, step: int, name: str, evaluation: Evaluation) -> None:
        self.step = max(self.step, step)
        self._say(evaluation_line(step, name, evaluation))

    def health(self, run: RunInfo, step: int, message: str) -> None:
        self._say(f"warning: step {step}: {message}", style="bold yellow")

    def run_finished(self, run: RunInfo, status: str, results: Mapping[str, Any]) -> None:
        if self.display is None:
            return
        self.display.stop()
        took = duration(time.monotonic() - self.started)
        end = ", ".join(filter(None, [f"{status} at step {self.step} after {took}", self.details]))
        self._say(f"{_title(run)}: {end}", style="" if status == "finished" else "bold")

    def _say(self, text: str, style: str = "") -> None:
        if self.display is not None:
            self.display.say(text, style)


def evaluation_line(step: int, name: str, evaluation: Evaluation) -> str:
    """What an evaluator found, in a line: its headline, its first scalars, or how many pictures."""
    shown = evaluation.headline or tuple(evaluation.scalars)[:4]
    scores = "  ".join(f"{key} {evaluation.scalars[key]:.4g}" for key in shown)
    count = len(evaluation.figures)
    pictures = f"{count} picture{'s' if count > 1 else ''}" if count else ""
    return f"step {step}  {name}  {scores or pictures}".rstrip()


def _title(run: RunInfo) -> str:
    place = f" ({run.index + 1} of {run.count})" if run.count > 1 else ""
    return f"{run.label}{place}"


# Preparation of data ---------------------------------------------------------------------------------


class PreparationBar:
    """A bar for work that is counted in advance; use it as a context manager."""

    def __init__(self, title: str, total: int) -> None:
        self.title, self.total, self.done = title, total, 0
        self.display: Display | None = None

    def __enter__(self) -> PreparationBar:
        self.display, self.started = show(self.title, self.total), time.monotonic()
        return self

    def advance(self, amount: int = 1) -> None:
        self.done += amount
        if self.display is not None:
            self.display.update(self.done, "")

    def __exit__(self, *exc: object) -> None:
        assert self.display is not None
        self.display.stop()
        outcome = "done" if exc[0] is None else f"stopped at {self.done} of {self.total}"
        self.display.say(f"{self.title}: {outcome} after {duration(time.monotonic() - self.started)}")


def progress_bar(title: str, total: int) -> PreparationBar:
    """A progress bar for data preparation, `total` units of work long."""
    return PreparationBar(title, total)


def duration(seconds: float) -> str:
    """`'8 s'`, `'2 min 5 s'` or `'1 h 3 min'`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
