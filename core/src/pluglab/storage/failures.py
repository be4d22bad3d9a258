"""Exceptions that nobody expected, told as errors: what, and the last place in a plugin's code or in ours."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pluglab.ctrl_c import STRAY, let_ctrl_c_pass
from pluglab.errors import InterruptedRunError, LabError, RunError
from pluglab.plugins.loading import is_plugin_code, one_line
from pluglab.storage.atomic import write_file
from pluglab.storage.run_folder import RunFolder


def as_error(error: BaseException) -> RunError:
    """A fault of the program or of a plugin, or a memory that is used up, in words for a person."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        first = str(error).partition("\n")[0] or "the memory is used up"
        return RunError(f"out of memory: {first}", help=["use a smaller batch_size, or smaller networks"])
    calls = list(traceback.walk_tb(error.__traceback__))
    frame, line = _blamed(calls)
    hint = "this is a fault in the program or in a plugin; `--debug` shows how it came about"
    where = f"{frame.f_code.co_filename}:{line}"
    return RunError(one_line(error), help=[hint], where=where)


@contextmanager
def leaving_told() -> Iterator[None]:
    """Code inside that leaves by SystemExit or KeyboardInterrupt has failed, whatever code it asks for."""
    try:
        yield
    except (SystemExit, KeyboardInterrupt) as error:
        let_ctrl_c_pass(error)
        raise as_error(error) from error


def _blamed(calls: list[tuple[FrameType, int]]) -> tuple[FrameType, int]:
    """The deepest call in a plugin's code, else in the core's, else anywhere."""
    plugin = [call for call in calls if is_plugin_code(_module(call))]
    core = [call for call in calls if _module(call).partition(".")[0] == "pluglab"]
    return (plugin or core or calls)[-1]


def _module(call: tuple[FrameType, int]) -> str:
    return str(call[0].f_globals.get("__name__"))


@contextmanager
def recording_failures(run: RunFolder) -> Iterator[None]:
    """An error inside is the run's; a fault becomes one, its traceback a file in the run's folder."""
    run.traceback.unlink(missing_ok=True)
    try:
        yield
    except InterruptedRunError:
        raise
    except LabError as error:
        with after(error):
            run.update(status="failed", error=error.message)
        raise
    except STRAY as error:
        let_ctrl_c_pass(error)
        fault = as_error(error)
        with after(error):
            run.update(status="failed", error=fault.message)
            write_file(run.traceback, "".join(traceback.format_exception(error)).encode())
            fault.help = (*fault.help, f"the traceback is in {run.traceback}")
        raise fault from error


@contextmanager
def after(error: BaseException | None) -> Iterator[None]:
    """What a run is ended by is told, though noting it inside may fail as well: on a full disk, say."""
    try:
        yield
    except LabError:
        if error is None:
            raise


def clear_frames(error: BaseException | None) -> None:
    """Free what the frames of a kept error hold, such as the networks and data of a run that failed."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
