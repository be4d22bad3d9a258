"""`lab`: the command line. Nothing here imports torch until a command needs it."""

from __future__ import annotations

import errno
import os
import sys
import threading
import traceback
import warnings
from contextlib import nullcontext
from typing import Any

from pluglab.cli import garbage, stand_ins, threads
from pluglab.cli.invoked import as_invoked
from pluglab.cli.output import lasting, loss_of
from pluglab.ctrl_c import telling_ctrl_c
from pluglab.errors import LabError, UserError, printable, shortened


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `lab`. Exits 0 done, 1 failed, 2 wrong input, 130 or 143 interrupted and saved."""
    given = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in given
    words = [word for word in given if word not in ("--debug", "--trust")]
    warnings.showwarning = _show_warning
    # A notebook names a backend that only its own kernel has; nothing here draws into a notebook.
    os.environ["MPLBACKEND"] = "Agg"
    trust = "--trust" in given
    if arguments is not None:  # a caller in Python keeps its own streams, and its garbage
        sys.exit(_run(words, debug, trust))
    if os.name == "posix":
        sys.stdout, sys.stderr = lasting(sys.stdout), lasting(sys.stderr)
    threading.excepthook = _show_thread
    threads.choose()
    garbage.importing()
    stand_ins.allow()
    code = _run(words, debug, trust)
    if code == 0 and (lost := loss_of(sys.stdout)):
        print(f"error: what the command prints cannot be written: {lost.strerror}", file=sys.stderr)
        code = 1
    garbage.leaving()
    sys.exit(code)


def _run(words: list[str], debug: bool, trust: bool) -> int:
    try:
        from pluglab.cli.app import build_app, keep_called
        from pluglab.plugins.loading import load_plugins, trusting
        from pluglab.storage import locking  # noqa: F401 - refuses a system that has no such locks

        with telling_ctrl_c(), trusting() if trust else nullcontext():
            app = build_app(load_plugins())
            keep_called(app, words)
            app(words, prog_name="lab")
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    except stand_ins.Needed:
        stand_ins.begin_again(sys.argv[1:])
        raise
    except LabError as error:
        stand_ins.begin_again(sys.argv[1:])
        _show(error.render(), error, debug)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of a pipe has gone: `lab list ... | head`
        sys.stderr.close()
        return 0
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            _show(UserError(f"{error.strerror}: {shortened(str(error.filename))}").render(), error, debug)
            return UserError.exit_code
        from pluglab.storage.failures import as_error

        stand_ins.begin_again(sys.argv[1:])
        _show(as_error(error).render(), error, debug)
        return 1
    return 0


def _show(text: str, error: BaseException, debug: bool) -> None:
    print(as_invoked(text), file=sys.stderr)
    if debug:
        traceback.print_exception(error)


def _show_thread(failed: threading.ExceptHookArgs) -> None:
    """A thread of some library has failed, such as that which writes TensorBoard's files to a full disk."""
    if failed.exc_type is not SystemExit:
        name = failed.thread.name if failed.thread else "a thread"
        _show_warning(f"{name} has ended: {failed.exc_type.__name__}: {failed.exc_value}", UserWarning)


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if category is UserWarning:
        print(as_invoked(printable(f"warning: {message}")), file=sys.stderr)
