"""Tables as text: numbers with the digits that they need, Markdown, LaTeX."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

from pluglab.protocols import Table

Place = tuple[int, int]
"""Row and column of a cell, counted from 0 without the line of the columns' names."""
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "\n": " ",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def decimals(value: float) -> int:
    """Decimal places: two, or what three significant digits of a small number take."""
    return 2 if value == 0 or not math.isfinite(value) else max(2, 2 - math.floor(math.log10(abs(value))))


def mean_and_deviation(mean: float, deviation: float | None, places: int | None = None) -> str:
    """'91.00 ± 1.41': a deviation has as many decimal places as its mean."""
    places = decimals(mean) if places is None else places
    return f"{mean:.{places}f}" + ("" if deviation is None else f" ± {deviation:.{places}f}")


def markdown(table: Table, bold: Collection[Place] = ()) -> str:
    """A table as Markdown; floats have four significant digits."""
    cells = _cells(table, bold, lambda text: f"**{text}**", _plain)
    rows = [list(map(_plain, table.columns)), ["---"] * len(table.columns), *cells]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def latex(table: Table, bold: Collection[Place] = ()) -> str:
    """A table as LaTeX's package booktabs draws it; the first column to the left, all others to the right."""
    cells = _cells(table, bold, lambda text: f"\\textbf{{{text}}}", latex_text)
    lines = [" & ".join(row) + r" \\" for row in cells]
    head = " & ".join(map(latex_text, table.columns)) + r" \\"
    begin = rf"\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}"
    return "\n".join([begin, r"\toprule", head, r"\midrule", *lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _cells(
    table: Table, bold: Collection[Place], strong: Callable[[str], str], text: Callable[[object], str]
) -> list[list[str]]:
    return [
        [strong(text(value)) if (i, j) in bold else text(value) for j, value in enumerate(row)]
        for i, row in enumerate(table.rows)
    ]


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _plain(value: object) -> str:
    return _text(value).replace("|", "\\|").replace("\n", " ")


def latex_text(value: object) -> str:
    """A value as text within LaTeX, in which no sign of it means anything."""
    return "".join(_LATEX.get(sign, sign) for sign in _text(value))
