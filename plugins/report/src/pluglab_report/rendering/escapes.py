"""Plain text within Markdown and LaTeX: no sign of it means anything there."""

from __future__ import annotations

import re

from pluglab.errors import printable
from pluglab.tables import latex_text

# Signs of Markdown, also those that GitHub and pandoc add; an underscore within a word means nothing.
_SIGNS = re.compile(r"[\\`*\[\]#|~^$@]|_(?![^\W_])|(?<![^\W_])_")
_BEGINNING = re.compile(r"^(\d+(?=[.)](\s|$))|(?=[-+=:]))")  # of a list or a line


def markdown_text(text: str) -> str:
    """Text that shows itself, markup of HTML too; in one line."""
    plain = printable(" ".join(text.split()))
    plain = _SIGNS.sub(lambda sign: f"\\{sign[0]}", plain)
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _BEGINNING.sub(lambda found: f"{found[0]}\\", plain)


def fence(text: str) -> str:
    """Backticks that no line of a code block closes before its end."""
    longest = max((len(found) for found in re.findall(r"`+", text)), default=0)
    return "`" * max(3, longest + 1)


def latex_escaped(text: str) -> str:
    """Text that shows itself."""
    return latex_text(printable(text))
