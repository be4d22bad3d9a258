"""The table of an experiment: a row a variant, a column a scalar."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from pluglab.protocols import Table


def compare(results: Sequence[tuple[str, Mapping[str, Any]]], columns: Sequence[str] = ()) -> Table:
    """A table of (variant, results of one run); mean and sample deviation where a variant has several runs.

    Without `columns`, the headline scalars of the evaluators are shown.
    """
    headline = dict.fromkeys(name for _, result in results for name in result.get("headline", []))
    shown = list(columns or headline)
    rows = []
    for variant in dict.fromkeys(name for name, _ in results):
        of_variant = [result for name, result in results if name == variant]
        rows.append([variant, *(_cell(of_variant, column) for column in shown)])
    return Table(["", *shown], rows)


def _cell(results: Sequence[Mapping[str, Any]], column: str) -> str:
    values = [r["scalars"][column] for r in results if column in r.get("scalars", {})]
    if not values:
        return "-"
    mean = statistics.fmean(values)
    places = _places(mean)
    spread = f" ± {statistics.stdev(values):.{places}f}" if len(values) > 1 else ""
    missing = f" ({len(values)} of {len(results)} seeds)" if len(values) < len(results) else ""
    return f"{mean:.{places}f}{spread}{missing}"


def _places(value: float) -> int:
    """Decimal places: two, or what three significant digits of a small number take."""
    return 2 if value == 0 or not math.isfinite(value) else max(2, 2 - math.floor(math.log10(abs(value))))


def markdown(table: Table) -> str:
    """A table as Markdown; floats have four significant digits."""
    rows = [table.columns, ["---"] * len(table.columns), *table.rows]
    return "\n".join("| " + " | ".join(_text(value) for value in row) + " |" for row in rows) + "\n"


def _text(value: str | float | int) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
