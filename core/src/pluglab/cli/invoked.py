"""Commands that are printed work as printed: `.venv/bin/lab ...` where a shell would not find `lab`."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

_COMMAND = re.compile(r"(?:(?<=`)|(?<=: )|(?<=:  ))(lab|tensorboard)(?= [a-z-])")


def as_invoked(text: str) -> str:
    """The text, its commands (in backticks, or after a colon) with the place where they are, if a shell would
    not find them here."""
    return _COMMAND.sub(lambda found: _place(found[1]), text)


def _place(name: str) -> str:
    """How a shell finds the program of our installation: by its name alone where that is enough."""
    ours = Path(sys.executable).parent / name
    known = shutil.which(name)
    if not ours.exists() or (known and Path(known).resolve() == ours.resolve()):
        return name
    below = ours.is_relative_to(Path.cwd())
    return shlex.quote(os.path.relpath(ours) if below else str(ours))
