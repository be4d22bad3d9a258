"""What a person sees while a run goes on: a live bar on a terminal, a plain line now and then elsewhere.

Everything goes to stderr, so that what a command prints on stdout stays clean. Rich is imported when the
first bar is shown.
"""

from __future__ import annotations

import atexit
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pluglab.protocols import Evaluation, Observer, RunInfo

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

REFRESHES_PER_SECOND = 2
SECONDS_BETWEEN_LINES = 10.0
SPEED = "speed/images_per_s"
LEFT_OUT = "speed/", "lr/", "gradient_norm/"  # for curves, not for a line


class Display(Protocol):
    """A place for one bar: lines stay, the bar moves."""

    def update(self, done: int, details: str) -> None: ...
    def say(self, text: str, style: str = "") -> None: ...
    def stop(self) -> None: ...


Pace = Callable[[float], float]
"""The seconds that what comes after will take, where all of this takes so many."""


class _Timed:
    """Knows how long the rest will take: as long a unit as it took so far, pauses included."""

    def __init__(self, total: int, done: int, after: Pace | None = None) -> None:
        self.total, self.first, self.started, self.after = total, done, time.monotonic(), after

    def left(self, done: int) -> str:
        if done <= self.first:
            return ""
        unit = self.unit(done)
        seconds = unit * (self.total - done)
        whole = f", {duration(seconds + self.after(unit * self.total))} for all" if self.after else ""
        return f"{duration(seconds)} left{whole}"

    def unit(self, done: int) -> float:
        """The seconds that one took."""
        return (time.monotonic() - self.started) / (done - self.first)


class LiveDisplay(_Timed):
    """A bar that moves, for a terminal, with the details on a line of their own under it.

    `now` says how far the work is between two updates.
    """

    def __init__(
        self,
        console: Console,
        title: str,
        total: int,
        done: int = 0,
        after: Pace | None = None,
        now: Callable[[], int] | None = None,
    ) -> None:
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        super().__init__(total, done, after)
        self.now = now
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

        if self.now is not None:
            self._move(self.now())
        details = [Text(self.details, no_wrap=True, overflow="ellipsis", style="dim")] if self.details else []
        return Group(self.progress, *details)

    def update(self, done: int, details: str) -> None:
        self.details = details
        self._move(done)

    def _move(self, done: int) -> None:
        self.progress.update(self.task, completed=done, left=self.left(done))

    def say(self, text: str, style: str = "") -> None:
        from rich.text import Text

        # As a Text, because a style given to print would color the bar as well.
        self.live.console.print(Text(text, style=style))

    def stop(self) -> None:
        self.live.stop()
        self.now = None
        atexit.unregister(self.stop)


class PlainDisplay(_Timed):
    """Lines of text, for a file or a build log: at the start, about every ten seconds, at the end."""

    def __init__(
        self, console: Console, title: str, total: int, done: int = 0, after: Pace | None = None
    ) -> None:
        super().__init__(total, done, after)
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


def show(
    title: str, total: int, done: int = 0, after: Pace | None = None, now: Callable[[], int] | None = None
) -> Display:
    """The display that suits stderr."""
    from rich.console import Console

    # A notebook says that it is a terminal, and cannot move a cursor.
    plain = False if "ipykernel" in sys.modules else None
    console = Console(stderr=True, force_jupyter=False, force_terminal=plain)
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveDisplay(console, title, total, done, after, now)
    return PlainDisplay(console, title, total, done, after)


# A run ---------------------------------------------------------------------------------------------


_took: dict[Path, list[float]] = {}  # seconds of the runs that have ended, by the experiment's folder


class ConsoleObserver(Observer):
    """A run's progress, scores and warnings on stderr."""

    def __init__(self) -> None:
        self.first, self.step, self.details, self.started = 0, 0, "", time.monotonic()
        self.display: Display | None = None

    def run_started(self, run: RunInfo, step: int) -> None:
        self.first = self.step = step
        self.display = show(_title(run), run.steps, step, _after(run), run.now)

    def step_logged(self, run: RunInfo, step: int, scalars: Mapping[str, float]) -> None:
        speed = [f"{scalars[SPEED]:,.0f} images/s"] if SPEED in scalars else []
        shown = {name: value for name, value in scalars.items() if not name.startswith(LEFT_OUT)}
        losses = [f"{name} {value:.4g}" for name, value in shown.items()]
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
        seconds = time.monotonic() - self.started
        if status == "finished" and self.step > self.first:
            whole = seconds / (self.step - self.first) * run.steps
            _took.setdefault(run.folder.parent, []).append(whole)
        took = duration(seconds)
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


def _after(run: RunInfo) -> Pace | None:
    """Of an experiment with runs to come: each takes as long as this one and those before it on average."""
    waiting = run.count - run.index - 1
    if not waiting:
        return None
    return lambda seconds: waiting * statistics.fmean([*_took.get(run.folder.parent, ()), seconds])


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
