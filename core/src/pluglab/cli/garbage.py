"""When Python looks for garbage in cycles: not among what imports make, which stays anyway.

Looking through it took a fifth of the time that a command needs to start, and half of the time to exit.
"""

from __future__ import annotations

import gc


def importing() -> None:
    """From here on modules are imported: nothing is looked for."""
    gc.disable()


def imported() -> None:
    """The work begins: what there is now stays, and what comes is looked through as ever."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def leaving() -> None:
    """The process ends, and its memory with it."""
    gc.freeze()
