"""What a check is, and how one is run: whatever it finds is told with the author's own file and line."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from traceback import walk_tb
from typing import Any, Literal, TypeVar

import torch

from pluglab.conformance import place_of, unchanged_random_state
from pluglab.errors import LabError

Status = Literal["ok", "failed", "not done"]
S = TypeVar("S", bound="Subject")


class Fault(LabError):  # noqa: N818 - what is reported, and raised on its way
    """What a check has found wrong; `where` is the author's line."""


class NotDone(Exception):  # noqa: N818 - no error: a check that could not be made, and why
    """A check that cannot be made here, and why."""


class NotAsked(Exception):  # noqa: N818
    """A check of what this component does not do."""


class Subject:
    """What is checked: a component, whose class or function is `target`, or a distribution."""

    kind: str
    name: str
    plugin: str
    target: Any = None

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"

    @property
    def place(self) -> str:
        """The author's line that stands for all of it."""
        return place_of(self.target) if self.target is not None else ""

    def is_authors(self, module: str) -> bool:
        """Whether a module belongs to what is checked."""
        own = getattr(self.target, "__module__", "") or ""
        return module.partition(".")[0] == own.partition(".")[0]


@dataclass(frozen=True)
class Check:
    """One thing that is asked. Where it fails and `gates`, those after it are not made."""

    name: str
    asks: str
    function: Callable[[Any], None]
    gates: bool = False


@dataclass(frozen=True)
class Result:
    """What one check found of one component."""

    kind: str
    name: str
    plugin: str
    check: str
    status: Status
    message: str = ""
    where: str = ""
    help: Sequence[str] = ()

    def line(self) -> str:
        """In one line, the place first, as compilers write it."""
        words = {"ok": "ok", "failed": self.message, "not done": f"not checked: {self.message}"}
        place = f"{_short(self.where)}: " if self.where else ""
        ways = f" ({'; '.join(self.help)})" if self.help else ""
        return f"{place}{self.kind} '{self.name}': {self.check}: {words[self.status]}{ways}"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


CHECKS: dict[str, list[Check]] = {}
"""The checks of each kind, in the order in which they are made."""
ANY = "any"
"""In the place of a kind: checks of the components of every kind, made before those of their own."""


def check(kind: str, name: str, *, gates: bool = False) -> Callable[[Callable[[S], None]], Any]:
    """Declares a check of a kind. The first line of its docstring says what it asks."""

    def mark(function: Callable[[S], None]) -> Callable[[S], None]:
        asks = (function.__doc__ or "").strip().partition("\n")[0].rstrip(".")
        CHECKS.setdefault(kind, []).append(Check(name, asks, function, gates))
        return function

    return mark


def checked(subject: Subject, checks: Sequence[Check]) -> Iterator[Result]:
    """The results of these checks, one after the other, up to one that no other can do without."""
    for one in checks:
        found = _result(subject, one)
        if found is None:
            continue
        yield found
        if found.status != "ok" and one.gates:
            return


def _result(subject: Subject, one: Check) -> Result | None:
    told = subject.kind, subject.name, subject.plugin, one.name
    try:
        with own_world():
            one.function(subject)
    except NotAsked:
        return None
    except NotDone as reason:
        return Result(*told, "not done", str(reason))
    except LabError as error:
        where = error.where or place_of_error(error, subject)
        return Result(*told, "failed", error.message, where, error.help)
    except (Exception, SystemExit) as error:
        words = " ".join(str(error).split())
        message = f"{type(error).__name__}: {words}" if words else type(error).__name__
        return Result(*told, "failed", message, place_of_error(error, subject))
    return Result(*told, "ok")


def place_of_error(error: BaseException, subject: Subject) -> str:
    """The innermost line of the author's that an error went through; else where the component begins."""
    frames = [
        (frame.f_globals.get("__name__", ""), frame.f_code.co_filename, line)
        for frame, line in walk_tb(error.__traceback__)
    ]
    own = [f"{file}:{line}" for module, file, line in frames if subject.is_authors(module)]
    return own[-1] if own else subject.place


@contextlib.contextmanager
def own_world() -> Iterator[None]:
    """Whatever is printed, warned of, drawn or switched inside concerns nobody outside."""
    threads, dtype, grad = torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()
    strict = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    out = io.StringIO()
    try:
        with (
            unchanged_random_state(),
            warnings.catch_warnings(),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(out),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
        torch.use_deterministic_algorithms(strict[0], warn_only=strict[1])


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """What a state holds, by dotted names."""
    if isinstance(value, (Mapping, list, tuple)):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, item in items:
            yield from leaves(item, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal to the last bit; two NaNs are."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        fits = one.dtype == other.dtype and one.shape == other.shape
        return fits and bool(torch.equal(one.nan_to_num(), other.nan_to_num()))
    if isinstance(one, float) and one != one:
        return isinstance(other, float) and other != other
    return type(one) is type(other) and bool(repr(one) == repr(other))


def first_difference(one: Any, other: Any) -> str:
    """The name of the first value in which two states differ; empty where they are equal."""
    left, right = dict(leaves(one)), dict(leaves(other))
    names = {**left, **right}
    return next((n for n in names if n not in left or n not in right or not same(left[n], right[n])), "")


def _short(where: str) -> str:
    """A place as a path from here, where that is shorter."""
    file, _, line = where.rpartition(":")
    try:
        relative = os.path.relpath(file)
    except ValueError:  # on another drive
        return where
    return f"{relative if len(relative) < len(file) else file}:{line}"
