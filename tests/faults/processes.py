"""`lab` in processes that can be ended at any moment: fresh ones, and forks that need not start anew."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

CODE = "from pluglab.cli import main; main()"
OPERATIONS = "open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"
"""What changes files, as Python's audit events are called."""
Harm = Callable[[], None]


def warm(recipe: Path) -> None:
    """Import what a recipe needs, so that forks have it; nothing is computed, as forks have no threads."""
    import sklearn.datasets  # noqa: F401

    import pluglab.cli.compare
    import pluglab.experiments.execute
    import pluglab.experiments.extend
    import pluglab.observers.tensorboard.once  # noqa: F401
    from pluglab.plugins.loading import load_plugins
    from pluglab.recipe.recipe import load_recipe

    load_recipe(recipe).resolve_all(load_plugins().registry)


def fresh(words: list[str], place: Path, environment: Mapping[str, str] = {}) -> subprocess.Popen[bytes]:
    """A process that imports everything itself."""
    with (place / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", CODE, *words],
            cwd=place,
            env={**os.environ, **_world(place), **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def forked(words: list[str], place: Path, before: Harm = lambda: None) -> int:
    """The process id of a fork that runs `lab`; `before` is called in it first."""
    child = os.fork()
    if child:
        return child
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has it ignored in the background,
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and nohup this one
        os.chdir(place)
        os.environ.update(_world(place))
        log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        sys.argv = ["lab", *words]
        before()
        from pluglab.cli import main

        main()
    except SystemExit as leave:
        os._exit(leave.code if isinstance(leave.code, int) else 1)
    finally:
        os._exit(1)


def _world(place: Path) -> dict[str, str]:
    """A home and a cache of its own, and one thread."""
    return {"HOME": str(place), "LAB_CACHE": str(place / "cache"), "OMP_NUM_THREADS": "1"}


def ended(child: int, seconds: float = 600) -> int:
    """The exit code of a fork, negative for a signal. Raises `TimeoutError`, with the fork killed."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise TimeoutError(f"process {child} did not end")


class Operations:
    """Counts what a fork does to files below `place`; just before the `number`-th there is harm."""

    def __init__(
        self, place: Path, number: int = 0, harm: Harm = lambda: None, *, lasting: bool = False
    ) -> None:
        """`lasting`: to all after it as well."""
        self.place, self.number, self.harm, self.lasting = place, number, harm, lasting
        self._count = mmap.mmap(-1, 8)  # shared with the fork

    @property
    def count(self) -> int:
        return int.from_bytes(self._count[:8], "little")

    def install(self) -> None:
        sys.addaudithook(self._watch)

    def _watch(self, event: str, arguments: tuple[object, ...]) -> None:
        if event in OPERATIONS and _below(arguments[0], self.place) and not _only_reads(event, arguments):
            count = self.count + 1
            self._count[:8] = count.to_bytes(8, "little")
            if count == self.number or (self.lasting and count > self.number):
                self.harm()


def _below(path: object, place: Path) -> bool:
    text = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else ""
    inside = not os.path.isabs(text) or text.startswith(str(place))  # noqa: PTH117
    return inside and ("runs" in text or "cache" in text)


def _only_reads(event: str, arguments: tuple[object, ...]) -> bool:
    flags = arguments[2] if event == "open" else os.O_WRONLY
    return isinstance(flags, int) and not flags & (os.O_WRONLY | os.O_RDWR)


def send_self(number: int) -> Harm:
    return lambda: os.kill(os.getpid(), number)
