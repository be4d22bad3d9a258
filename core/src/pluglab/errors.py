"""Errors that a person reads: each says what, where, and the way out; none shows a traceback."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

LONGEST_LINE = 200  # signs of a line that an error shows
MOST_PROBLEMS = 20  # of a recipe that an error shows
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """A text for a terminal: signs that would steer it, as a file's name may hold them, are spelled out."""
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def shortened(text: str, length: int = 80) -> str:
    """The beginning of a text that is longer than a person would read."""
    return text if len(text) <= length else f"{text[: length - 3]}..."


class LabError(Exception):
    """Something failed that the program can explain. `exit_code` is what `lab` exits with."""

    exit_code = 1

    def __init__(self, message: str, *, help: Iterable[str] = (), where: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.help = tuple(help)
        self.where = where

    def render(self) -> str:
        """The message as it is printed, its place and the help lines included."""
        place = [f"  --> {self.where}"] if self.where else []
        return printable(
            "\n".join([f"error: {self.message}", *place, *(f"  = {line}" for line in self.help)])
        )


class UserError(LabError):
    """The user's input is wrong: exit code 2."""

    exit_code = 2


class RunError(LabError):
    """A run failed while it was under way: exit code 1."""


class InterruptedRunError(LabError):
    """A signal stopped the run after its state was saved: exit code 128 + signal."""

    def __init__(self, signum: int, message: str, *, help: Iterable[str] = ()) -> None:
        super().__init__(message, help=help)
        self.exit_code = 128 + signum

    def render(self) -> str:
        return printable("\n".join([f"interrupted: {self.message}", *(f"  = {line}" for line in self.help)]))


@dataclass(frozen=True)
class Span:
    """A place in a text: `line` and `column` count from 1; `text` is the whole line."""

    source: str
    line: int
    column: int
    length: int
    text: str

    def render(self, note: str = "") -> list[str]:
        gutter = " " * len(str(self.line))
        first = max(0, self.column - LONGEST_LINE // 2) if len(self.text) > LONGEST_LINE else 0
        shown = self.text[first : first + LONGEST_LINE]
        # A tab stays a tab, so that the caret stands below its word.
        before = re.sub(r"[^\t]", " ", self.text[first : self.column - 1])
        caret = before + "^" * max(1, min(self.length, len(shown) - len(before)))
        return [
            f"{gutter}--> {self.source}:{self.line}",
            f"{gutter} |",
            f"{self.line} | {shown}",
            f"{gutter} | {caret} {note}".rstrip(),
        ]


KeyPath = tuple[str | int, ...]
"""The keys that lead to a value of a recipe, from the top: ('evaluate', 0, 'name')."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a recipe, at the key `path`, or `at_value` at what stands there.

    `where` is that place in the text once it is known: a span, or words where no file is at fault. `note`
    stands at the caret. `author` is a plugin's line, where that is what must be changed.
    """

    message: str
    where: Span | str | None = None
    note: str = ""
    help: Sequence[str] = field(default=())
    path: KeyPath = ()
    at_value: bool = False
    author: str = ""

    @property
    def ways_out(self) -> tuple[str, ...]:
        """The help, and whose line it is."""
        whose = [f"the plugin's author wrote it in {self.author}"] if self.author else []
        return (*self.help, *whose)

    def below(self, path: KeyPath, *help: str) -> Problem:
        """The same problem, of a value that lies at `path` of a larger one."""
        return replace(self, path=(*path, *self.path), help=(*self.help, *help))

    def render(self) -> str:
        lines = [f"error: {self.message}"]
        if isinstance(self.where, Span):
            lines += self.where.render(self.note)
        else:
            lines += [f"  --> {self.where}"] if self.where else []
            lines += [f"  = {self.note}"] if self.note else []
        return printable("\n".join([*lines, *(f"  = {line}" for line in self.ways_out)]))


class RecipeError(UserError):
    """Every problem that was found in a recipe, at once; what several variants share is told once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple({problem.render(): problem for problem in problems}.values())
        first = self.problems[0]
        where = f"{first.where.source}:{first.where.line}" if isinstance(first.where, Span) else first.where
        super().__init__(first.message, help=first.ways_out, where=where or "")

    def render(self) -> str:
        more = len(self.problems) - MOST_PROBLEMS
        rest = [f"error: and {more} more"] if more > 0 else []
        return "\n\n".join([*(problem.render() for problem in self.problems[:MOST_PROBLEMS]), *rest])


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`"did you mean 'x'?"` for the closest known word, or an empty string.

    Fingers seldom slip at the first letter, so a word that begins otherwise must be nearer.
    """
    close = difflib.get_close_matches(word, list(known), n=3, cutoff=0.6)
    found = next((one for one in close if one[:1] == word[:1] or _alike(one, word) >= 0.75), "")
    return f"did you mean '{found}'?" if found else ""


def _alike(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()
